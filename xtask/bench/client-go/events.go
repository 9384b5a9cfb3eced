package main

import (
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
)

// measureEvents fills the store of an informer and waits for the watch of the informer. It then measures from the
// request for the watch events to the last watch event. The last watch event modifies the pod sentinel.
//
// If digestPassed is true, the digest covers the pods that the event handler gives to the function pass. If digestPassed
// is false, the digest covers all pods in the store.
//
// An informer stores all objects, and a filter in the event handler does not change the store. So each row that
// measureEvents measures starts with a full store.
func measureEvents(
	j *job, handler func(pass func(*corev1.Pod)) cache.ResourceEventHandler, digestPassed bool,
) (*outcome, error) {
	informer, err := podInformer(j)
	if err != nil {
		return nil, err
	}
	var measuring atomic.Bool
	var kept []*corev1.Pod
	done := make(chan struct{})
	pass := func(pod *corev1.Pod) {
		if !measuring.Load() {
			return
		}
		if digestPassed {
			kept = append(kept, pod)
		}
		if pod.Name == "sentinel" {
			close(done)
		}
	}
	registration, err := informer.AddEventHandler(handler(pass))
	if err != nil {
		return nil, err
	}
	if err := runAndSync(informer); err != nil {
		return nil, err
	}
	for !registration.HasSynced() {
		time.Sleep(200 * time.Microsecond)
	}
	measuring.Store(true)
	running, err := j.startWithWatch("-/events")
	if err != nil {
		return nil, err
	}
	<-done
	if !digestPassed {
		return finishWithStores(running, j.Calls, informer)
	}
	result, err := running.stop(j.Calls)
	if err != nil {
		return nil, err
	}
	result.Digest, err = digestOf(kept)
	return result, err
}

// measureStoreEvents measures how an informer with a full store applies events.
func measureStoreEvents(j *job) (*outcome, error) {
	return measureEvents(j, func(pass func(*corev1.Pod)) cache.ResourceEventHandler {
		return cache.ResourceEventHandlerFuncs{
			UpdateFunc: func(_, object any) {
				if pod := object.(*corev1.Pod); pod.Name == "sentinel" {
					pass(pod)
				}
			},
		}
	}, false)
}

// measureGenerationFilter measures a filter. The filter passes the events that add a pod or change the generation of a
// pod.
func measureGenerationFilter(j *job) (*outcome, error) {
	return measureEvents(j, func(pass func(*corev1.Pod)) cache.ResourceEventHandler {
		return cache.ResourceEventHandlerFuncs{
			AddFunc: func(object any) { pass(object.(*corev1.Pod)) },
			UpdateFunc: func(before, object any) {
				if pod := object.(*corev1.Pod); pod.Generation != before.(*corev1.Pod).Generation {
					pass(pod)
				}
			},
		}
	}, true)
}

// measureLabelFilter measures a filter. The filter passes the events of the pods with labels that match a selector.
func measureLabelFilter(j *job) (*outcome, error) {
	selector := labels.SelectorFromSet(labels.Set{"bench.example/shard": "17"})
	return measureEvents(j, func(pass func(*corev1.Pod)) cache.ResourceEventHandler {
		return cache.FilteringResourceEventHandler{
			FilterFunc: func(object any) bool {
				pod, ok := object.(*corev1.Pod)
				return ok && selector.Matches(labels.Set(pod.Labels))
			},
			Handler: cache.ResourceEventHandlerFuncs{
				AddFunc:    func(object any) { pass(object.(*corev1.Pod)) },
				UpdateFunc: func(_, object any) { pass(object.(*corev1.Pod)) },
			},
		}
	}, true)
}
