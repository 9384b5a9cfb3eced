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
	// watches is the number of watches.
	watches = 1000
	// callRate is the number of calls per second.
	callRate = 1000
	// callers is the number of goroutines that send the calls.
	callers = 50
)

// watchesAndCalls holds watches open while calls run at a constant rate. The measurement begins after the first sixth
// of the time: it counts the calls and the growth of memory since then. A watch or call that fails is an error.
func watchesAndCalls(j *job) (*outcome, error) {
	client, err := j.clientset()
	if err != nil {
		return nil, err
	}
	names, err := j.podNames(distinctPods)
	if err != nil {
		return nil, err
	}
	failed := make(chan error, watches+callers)
	opened := make(chan struct{}, watches)
	for range watches {
		go func() { failed <- watchPods(client, opened) }()
	}
	limit := time.After(2 * time.Minute)
	for range watches {
		select {
		case <-opened:
		case err := <-failed:
			return nil, err
		case <-limit:
			return nil, errors.New("not all watches were opened")
		}
	}
	var calls atomic.Int64
	pause := time.Second * callers / callRate
	begin := time.Now()
	for number := range callers {
		first := begin.Add(pause * time.Duration(number) / callers)
		go func() { failed <- callAtRate(client, names, first, pause, &calls) }()
	}
	whole := time.Second * time.Duration(j.Calls) / callRate
	if err := sleepUnlessFailed(whole/6, failed); err != nil {
		return nil, err
	}
	before := calls.Load()
	running, err := start()
	if err != nil {
		return nil, err
	}
	if err := sleepUnlessFailed(whole-whole/6, failed); err != nil {
		return nil, err
	}
	return running.stop(int(calls.Load() - before))
}

// sleepUnlessFailed waits for a duration, or returns the first error.
func sleepUnlessFailed(wait time.Duration, failed <-chan error) error {
	select {
	case err := <-failed:
		return err
	case <-time.After(wait):
		return nil
	}
}

// watchPods opens a watch, reports it at its first event, and reads it until it ends.
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

// callAtRate sends a get at each tick. Late calls are sent at once, so that the rate is constant.
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
