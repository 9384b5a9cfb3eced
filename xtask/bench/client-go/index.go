package main

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
)

// byNode is the name of the index of pods by their node.
const byNode = "node"

// measureIndexLookups measures look-ups in the index byNode. Each look-up returns the pods of one node.
func measureIndexLookups(j *job) (*outcome, error) {
	informer, err := podInformer(j)
	if err != nil {
		return nil, err
	}
	nodeOf := func(object any) ([]string, error) { return []string{object.(*corev1.Pod).Spec.NodeName}, nil }
	if err := informer.AddIndexers(cache.Indexers{byNode: nodeOf}); err != nil {
		return nil, err
	}
	if err := runAndSync(informer); err != nil {
		return nil, err
	}
	nodes := informer.GetIndexer().ListIndexFuncValues(byNode)
	running, err := startMeasurement()
	if err != nil {
		return nil, err
	}
	for number := range j.Calls {
		node := nodes[number%len(nodes)]
		pods, err := informer.GetIndexer().ByIndex(byNode, node)
		if err != nil {
			return nil, err
		}
		if len(pods) == 0 {
			return nil, fmt.Errorf("the index has no pods of %s", node)
		}
	}
	return finishWithStores(running, j.Calls, informer)
}
