package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	informers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// sentinel is the key of the last pod of every list. In the response to a relist, this pod has a new generation.
const sentinel = "zz-sentinel/sentinel"

// byNamespace is the default index of client-go's shared informers.
var byNamespace = cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}

// measureList measures one list of all pods.
func measureList(j *job) (*outcome, error) {
	client, err := j.clientset()
	if err != nil {
		return nil, err
	}
	running, err := startMeasurement()
	if err != nil {
		return nil, err
	}
	pods, err := client.CoreV1().Pods("").List(context.Background(), metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return nil, err
	}
	done, err := running.stop(len(pods.Items))
	if err != nil {
		return nil, err
	}
	sum := &digest{}
	for index := range pods.Items {
		if err := sum.addObject(&pods.Items[index]); err != nil {
			return nil, err
		}
	}
	done.Digest = sum
	return done, nil
}

// podInformer returns an informer that is not started.
func podInformer(j *job) (cache.SharedIndexInformer, error) {
	client, err := j.clientset()
	if err != nil {
		return nil, err
	}
	return informers.NewPodInformer(client, "", 0, byNamespace), nil
}

// runAndSync starts informers and waits until their initial lists are complete.
func runAndSync(all ...cache.SharedIndexInformer) error {
	synced := make([]cache.InformerSynced, 0, len(all))
	for _, informer := range all {
		go informer.Run(make(chan struct{}))
		synced = append(synced, informer.HasSynced)
	}
	deadline := time.Now().Add(5 * time.Minute)
	for _, done := range synced {
		// cache.WaitForCacheSync polls every 100 ms, which is too coarse here.
		for !done() {
			if time.Now().After(deadline) {
				return fmt.Errorf("an informer has not synced within 5 minutes")
			}
			time.Sleep(200 * time.Microsecond)
		}
	}
	return nil
}

// finishWithStores ends a measurement and computes the digest of the informers' stores.
func finishWithStores(running *measurement, units int, all ...cache.SharedIndexInformer) (*outcome, error) {
	done, err := running.stop(units)
	if err != nil {
		return nil, err
	}
	sum := &digest{}
	for _, informer := range all {
		for _, object := range informer.GetStore().List() {
			if err := sum.addObject(object); err != nil {
				return nil, err
			}
		}
	}
	done.Digest = sum
	return done, nil
}

// measureStoreOfPods measures how one informer fills its store with pods.
func measureStoreOfPods(j *job) (*outcome, error) {
	informer, err := podInformer(j)
	if err != nil {
		return nil, err
	}
	running, err := startMeasurement()
	if err != nil {
		return nil, err
	}
	if err := runAndSync(informer); err != nil {
		return nil, err
	}
	return finishWithStores(running, len(informer.GetStore().ListKeys()), informer)
}

// measureStoresOfKinds measures how the informers of nodes, config maps and widgets fill their stores concurrently.
func measureStoresOfKinds(j *job) (*outcome, error) {
	client, err := kubernetes.NewForConfig(j.config())
	if err != nil {
		return nil, err
	}
	widgets, err := widgetInformer(j)
	if err != nil {
		return nil, err
	}
	nodes := informers.NewNodeInformer(client, 0, cache.Indexers{})
	maps := informers.NewConfigMapInformer(client, "", 0, byNamespace)
	running, err := startMeasurement()
	if err != nil {
		return nil, err
	}
	if err := runAndSync(nodes, maps, widgets); err != nil {
		return nil, err
	}
	count := 0
	for _, informer := range []cache.SharedIndexInformer{nodes, maps, widgets} {
		count += len(informer.GetStore().ListKeys())
	}
	return finishWithStores(running, count, nodes, maps, widgets)
}

// measureRelist measures the wall time from the list request until the store contains the new state. The wall time does
// not include the backoff before the request.
func measureRelist(j *job) (*outcome, error) {
	informer, err := podInformer(j)
	if err != nil {
		return nil, err
	}
	if err := runAndSync(informer); err != nil {
		return nil, err
	}
	running, err := j.startWithWatch("-/gone")
	if err != nil {
		return nil, err
	}
	// The sentinel is the last item of the list and has a new generation.
	for {
		object, known, err := informer.GetStore().GetByKey(sentinel)
		if err != nil {
			return nil, err
		}
		if known && object.(*corev1.Pod).Generation > 1 {
			break
		}
		time.Sleep(200 * time.Microsecond)
	}
	wall, err := j.timeSinceRelist()
	if err != nil {
		return nil, err
	}
	done, err := finishWithStores(running, len(informer.GetStore().ListKeys()), informer)
	if err != nil {
		return nil, err
	}
	done.WallNs = wall.Nanoseconds()
	return done, nil
}
