package main

import (
	"sync/atomic"
	"time"

	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// controller is an informer, a work queue and a worker, as in client-go's workqueue example.
type controller struct {
	informer   cache.SharedIndexInformer
	queue      workqueue.TypedRateLimitingInterface[string]
	reconciled atomic.Int64
}

// newController returns a controller that is not started.
func newController(j *job) (*controller, error) {
	informer, err := widgetInformer(j)
	if err != nil {
		return nil, err
	}
	limiter := workqueue.DefaultTypedControllerRateLimiter[string]()
	c := &controller{informer: informer, queue: workqueue.NewTypedRateLimitingQueue(limiter)}
	enqueue := func(object any) {
		if key, err := cache.MetaNamespaceKeyFunc(object); err == nil {
			c.queue.Add(key)
		}
	}
	_, err = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    enqueue,
		UpdateFunc: func(_, object any) { enqueue(object) },
		DeleteFunc: enqueue,
	})
	return c, err
}

// processQueue takes keys from the queue until the queue shuts down. If the store contains the object of a key,
// processQueue increments c.reconciled.
func (c *controller) processQueue() {
	for {
		key, shutdown := c.queue.Get()
		if shutdown {
			return
		}
		if _, known, err := c.informer.GetStore().GetByKey(key); err == nil && known {
			c.reconciled.Add(1)
		}
		c.queue.Forget(key)
		c.queue.Done(key)
	}
}

// waitForReconciles waits until the number of completed reconciles has reached goal.
func (c *controller) waitForReconciles(goal int) {
	for c.reconciled.Load() < int64(goal) {
		time.Sleep(50 * time.Microsecond)
	}
}

// measureFirstReconcile measures from the start of the controller to its first reconcile.
func measureFirstReconcile(j *job) (*outcome, error) {
	c, err := newController(j)
	if err != nil {
		return nil, err
	}
	running, err := startMeasurement()
	if err != nil {
		return nil, err
	}
	if err := runAndSync(c.informer); err != nil {
		return nil, err
	}
	go c.processQueue()
	c.waitForReconciles(1)
	return finishWithStores(running, 1, c.informer)
}

// measureRepeatedReconciles measures repeated reconciles of all objects. The store is complete before the measurement.
func measureRepeatedReconciles(j *job) (*outcome, error) {
	c, err := newController(j)
	if err != nil {
		return nil, err
	}
	if err := runAndSync(c.informer); err != nil {
		return nil, err
	}
	go c.processQueue()
	objects := len(c.informer.GetStore().ListKeys())
	goal := objects
	c.waitForReconciles(goal)
	rounds := (j.Calls + objects - 1) / objects
	running, err := startMeasurement()
	if err != nil {
		return nil, err
	}
	for range rounds {
		goal += objects
		for _, key := range c.informer.GetStore().ListKeys() {
			c.queue.Add(key)
		}
		c.waitForReconciles(goal)
	}
	return finishWithStores(running, rounds*objects, c.informer)
}
