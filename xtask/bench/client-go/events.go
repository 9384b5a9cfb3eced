package main

import (
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/tools/cache"
)

// measureEvents fills an informer's store, waits for its watch, and measures from the first watch event to the last
// one, which modifies the pod sentinel.
//
// If digestPassed is true, the digest covers the pods for which the event handler calls passed. If it is false, the
// digest covers all pods in the store.
//
// Informers store all objects regardless of the handler's filter, so the filter rows have a full store as well.
func measureEvents(
	j *job, handler func(passed func(*corev1.Pod)) cache.ResourceEventHandler, digestPassed bool,
) (*outcome, error) {
	informer, err := podInformer(j)
	if err != nil {
		return nil, err
	}
	var measuring atomic.Bool
	var kept []*corev1.Pod
	done := make(chan struct{})
	passed := func(pod *corev1.Pod) {
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
	registration, err := informer.AddEventHandler(handler(passed))
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

// eventsIntoStore measures events applied to a full store.
func eventsIntoStore(j *job) (*outcome, error) {
	return measureEvents(j, func(passed func(*corev1.Pod)) cache.ResourceEventHandler {
		return cache.ResourceEventHandlerFuncs{
			UpdateFunc: func(_, object any) {
				if pod := object.(*corev1.Pod); pod.Name == "sentinel" {
					passed(pod)
				}
			},
		}
	}, false)
}

// eventsByGeneration measures a filter that keeps the events that add a pod or change its generation.
func eventsByGeneration(j *job) (*outcome, error) {
	return measureEvents(j, func(passed func(*corev1.Pod)) cache.ResourceEventHandler {
		return cache.ResourceEventHandlerFuncs{
			AddFunc: func(object any) { passed(object.(*corev1.Pod)) },
			UpdateFunc: func(before, object any) {
				if pod := object.(*corev1.Pod); pod.Generation != before.(*corev1.Pod).Generation {
					passed(pod)
				}
			},
		}
	}, true)
}

// eventsByLabels measures a filter that keeps the events of pods whose labels match a selector.
func eventsByLabels(j *job) (*outcome, error) {
	selector := labels.SelectorFromSet(labels.Set{"bench.example/shard": "17"})
	return measureEvents(j, func(passed func(*corev1.Pod)) cache.ResourceEventHandler {
		return cache.FilteringResourceEventHandler{
			FilterFunc: func(object any) bool {
				pod, ok := object.(*corev1.Pod)
				return ok && selector.Matches(labels.Set(pod.Labels))
			},
			Handler: cache.ResourceEventHandlerFuncs{
				AddFunc:    func(object any) { passed(object.(*corev1.Pod)) },
				UpdateFunc: func(_, object any) { passed(object.(*corev1.Pod)) },
			},
		}
	}, true)
}
