//go:build controller_runtime

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// controllerCount is the number of controllers that share an informer.
	controllerCount = 4
	// priorityCount is the number of different priorities of the keys.
	priorityCount = 5
	// settlingTime is the time between the start of the watch and the measurement. In this time, the manager becomes
	// idle.
	settlingTime = 500 * time.Millisecond
)

// runControllerRuntimeRow executes the row that the job names.
func runControllerRuntimeRow(j *job) (*outcome, error) {
	ctrl.SetLogger(logr.Discard())
	switch j.Row {
	case "shared-controllers":
		return measureSharedControllers(j)
	case "priority-queue":
		return measurePriorityQueue(j)
	case "idle-manager":
		return measureIdleManager(j)
	}
	return nil, errors.New("unknown row")
}

// newManager returns a manager with controllerCount controllers. The controllers watch the kind of the given object.
// The array reconciled contains one counter per controller. Each reconcile only increments the counter of its controller.
func newManager(j *job, object client.Object, reconciled *[controllerCount]atomic.Int64) (ctrl.Manager, error) {
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{corev1.SchemeGroupVersion})
	for _, kind := range []string{"Pod", "Secret"} {
		mapper.Add(corev1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	manager, err := ctrl.NewManager(j.config(), ctrl.Options{
		Scheme:         scheme.Scheme,
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return mapper, nil },
		Metrics:        server.Options{BindAddress: "127.0.0.1:0"},
	})
	if err != nil {
		return nil, err
	}
	for number := range controllerCount {
		count := reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) {
			reconciled[number].Add(1)
			return reconcile.Result{}, nil
		})
		name := fmt.Sprintf("controller-%d", number)
		err := ctrl.NewControllerManagedBy(manager).For(object).Named(name).Complete(count)
		if err != nil {
			return nil, err
		}
	}
	return manager, nil
}

// startManager starts a manager in a goroutine. The returned channel receives an error when the manager ends.
func startManager(manager ctrl.Manager) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- errors.Join(manager.Start(context.Background()), errors.New("the manager has ended")) }()
	return ended
}

// measureSharedControllers measures from the creation of the manager until each controller has reconciled every pod.
func measureSharedControllers(j *job) (*outcome, error) {
	running, err := startMeasurement()
	if err != nil {
		return nil, err
	}
	var reconciled [controllerCount]atomic.Int64
	manager, err := newManager(j, &corev1.Pod{}, &reconciled)
	if err != nil {
		return nil, err
	}
	ended := startManager(manager)
	err = waitUntil(func() bool {
		done := true
		for number := range reconciled {
			done = done && reconciled[number].Load() >= int64(j.Calls)
		}
		return done || len(ended) > 0
	})
	if len(ended) > 0 {
		return nil, <-ended
	}
	if err != nil {
		return nil, err
	}
	result, err := running.stop(j.Calls)
	if err != nil {
		return nil, err
	}
	var pods corev1.PodList
	if err := manager.GetCache().List(context.Background(), &pods); err != nil {
		return nil, err
	}
	result.Digest = &digest{}
	for index := range pods.Items {
		if err := result.Digest.addObject(&pods.Items[index]); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// measurePriorityQueue measures from the addition of the first key until all keys have been processed.
func measurePriorityQueue(j *job) (*outcome, error) {
	keys := make([]reconcile.Request, j.Calls)
	for number := range keys {
		keys[number].NamespacedName = types.NamespacedName{
			Namespace: fmt.Sprintf("team-%04d", number/40), Name: fmt.Sprintf("worker-%d", number),
		}
	}
	queue := priorityqueue.New[reconcile.Request]("bench")
	running, err := startMeasurement()
	if err != nil {
		return nil, err
	}
	for number, key := range keys {
		priority := number % priorityCount
		queue.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, key)
	}
	for range keys {
		key, _, isShutDown := queue.GetWithPriority()
		if isShutDown {
			return nil, errors.New("the queue has shut down")
		}
		queue.Forget(key)
		queue.Done(key)
	}
	return running.stop(j.Calls)
}

// measureIdleManager measures an idle manager for j.Calls milliseconds. The field Units of the outcome is the
// number of these milliseconds. The growth of memory includes the creation and the start of the manager.
func measureIdleManager(j *job) (*outcome, error) {
	running, err := startMeasurement()
	if err != nil {
		return nil, err
	}
	var reconciled [controllerCount]atomic.Int64
	manager, err := newManager(j, &corev1.Secret{}, &reconciled)
	if err != nil {
		return nil, err
	}
	ended := startManager(manager)
	if err := j.waitForWatches(1); err != nil {
		return nil, err
	}
	time.Sleep(settlingTime)
	running.restartTime()
	select {
	case err := <-ended:
		return nil, err
	case <-time.After(time.Duration(j.Calls) * time.Millisecond):
		return running.stop(j.Calls)
	}
}
