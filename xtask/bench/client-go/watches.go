package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// watchCount is the number of watches that stay open.
	watchCount = 1000
	// callRate is the number of calls per second, of all callers together.
	callRate = 1000
	// callerCount is the number of goroutines that send the calls.
	callerCount = 50
)

// measureCallsWithWatches holds watches open while calls run at a constant rate. The measurement begins after a sixth of
// the run, and covers the calls and the growth of memory in the rest of the run. It is an error if a call fails, or if a
// watch fails or ends.
func measureCallsWithWatches(j *job) (*outcome, error) {
	client, err := j.clientset()
	if err != nil {
		return nil, err
	}
	names, err := j.podNames(distinctPods)
	if err != nil {
		return nil, err
	}
	failed := make(chan error, watchCount+callerCount)
	opened := make(chan struct{}, watchCount)
	for range watchCount {
		go func() { failed <- watchPods(client, opened) }()
	}
	limit := time.After(2 * time.Minute)
	for range watchCount {
		select {
		case <-opened:
		case err := <-failed:
			return nil, err
		case <-limit:
			return nil, errors.New("not all watches were opened")
		}
	}
	var calls atomic.Int64
	pause := time.Second * callerCount / callRate
	begin := time.Now()
	for number := range callerCount {
		first := begin.Add(pause * time.Duration(number) / callerCount)
		go func() { failed <- callAtRate(client, names, first, pause, &calls) }()
	}
	whole := time.Second * time.Duration(j.Calls) / callRate
	if err := sleepUnlessFailed(whole/6, failed); err != nil {
		return nil, err
	}
	before := calls.Load()
	running, err := startMeasurement()
	if err != nil {
		return nil, err
	}
	if err := sleepUnlessFailed(whole-whole/6, failed); err != nil {
		return nil, err
	}
	return running.stop(int(calls.Load() - before))
}

// sleepUnlessFailed sleeps for the given duration, and returns nil. The parameter failed is a channel of
// errors. If the channel delivers an error, sleepUnlessFailed returns this error at once.
func sleepUnlessFailed(duration time.Duration, failed <-chan error) error {
	select {
	case err := <-failed:
		return err
	case <-time.After(duration):
		return nil
	}
}

// watchPods opens a watch and reads events until the watch ends. The parameter opened is a channel. After the
// first event, watchPods sends a message to this channel. watchPods always returns an error.
func watchPods(client *kubernetes.Clientset, opened chan<- struct{}) error {
	options := metav1.ListOptions{ResourceVersion: "0", AllowWatchBookmarks: true}
	watch, err := client.CoreV1().Pods("").Watch(context.Background(), options)
	if err != nil {
		return fmt.Errorf("a watch: %w", err)
	}
	isOpen := false
	for range watch.ResultChan() {
		if !isOpen {
			isOpen = true
			opened <- struct{}{}
		}
	}
	return errors.New("a watch has ended")
}

// callAtRate sends get requests until a request fails. The parameter next is the time of the first request, and pause is
// the time between two requests. callAtRate sends late requests at once, so that the mean rate stays constant.
func callAtRate(
	client *kubernetes.Clientset, names [][2]string, next time.Time, pause time.Duration, calls *atomic.Int64,
) error {
	for index := 0; ; index++ {
		time.Sleep(time.Until(next))
		next = next.Add(pause)
		if err := getPod(client, names[index%len(names)]); err != nil {
			return err
		}
		calls.Add(1)
	}
}
