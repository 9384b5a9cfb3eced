package main

import (
	"errors"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"
)

// subscriberCount is the number of event handlers of one informer.
const subscriberCount = 100

// measureSubscribers measures the delivery of the watch events to all event handlers. The measurement begins
// just before the request for the events. It ends after all event handlers have received the last event, which
// modifies the pod "sentinel". The event handlers receive the initial list before the measurement.
func measureSubscribers(j *job) (*outcome, error) {
	informer, err := podInformer(j)
	if err != nil {
		return nil, err
	}
	var initial, done atomic.Int64
	for range subscriberCount {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: func(any) { initial.Add(1) },
			UpdateFunc: func(_, object any) {
				if pod := object.(*corev1.Pod); pod.Name == "sentinel" && pod.Generation > 1 {
					done.Add(1)
				}
			},
		})
		if err != nil {
			return nil, err
		}
	}
	if err := runAndSync(informer); err != nil {
		return nil, err
	}
	if err := waitUntil(func() bool { return initial.Load() >= int64(subscriberCount*j.Calls) }); err != nil {
		return nil, err
	}
	running, err := j.startWithWatch("-/events")
	if err != nil {
		return nil, err
	}
	if err := waitUntil(func() bool { return done.Load() == subscriberCount }); err != nil {
		return nil, err
	}
	return finishWithStores(running, j.Calls, informer)
}

// waitUntil polls a condition for at most four minutes.
func waitUntil(isMet func() bool) error {
	deadline := time.Now().Add(4 * time.Minute)
	for !isMet() {
		if time.Now().After(deadline) {
			return errors.New("timed out")
		}
		time.Sleep(200 * time.Microsecond)
	}
	return nil
}
