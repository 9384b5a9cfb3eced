package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// distinctPods is the number of different pods in the get requests.
	distinctPods = 64
	// goroutineCount is the number of concurrent goroutines.
	goroutineCount = 32
)

// measureSequentialGets measures sequential gets over TCP.
func measureSequentialGets(j *job) (*outcome, error) {
	return measureGets(j, func(get func(count int) error) (int, error) { return j.Calls, get(j.Calls) })
}

// measureConcurrentGets measures gets over TCP in concurrent goroutines. Each goroutine sends one get after the other.
func measureConcurrentGets(j *job) (*outcome, error) {
	each := j.Calls / goroutineCount
	return measureGets(j, func(get func(count int) error) (int, error) {
		var all sync.WaitGroup
		errs := make(chan error, goroutineCount)
		for range goroutineCount {
			all.Go(func() { errs <- get(each) })
		}
		all.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				return 0, err
			}
		}
		return each * goroutineCount, nil
	})
}

// measureGets first gets each pod once. It then measures a call of the function work, which sends get
// requests and returns their number. Finally, measureGets computes the digest of the pods.
func measureGets(j *job, work func(get func(count int) error) (int, error)) (*outcome, error) {
	client, err := j.clientset()
	if err != nil {
		return nil, err
	}
	names, err := j.podNames(distinctPods)
	if err != nil {
		return nil, err
	}
	get := func(count int) error {
		for index := range count {
			if err := getPod(client, names[index%len(names)]); err != nil {
				return err
			}
		}
		return nil
	}
	if err := get(len(names)); err != nil {
		return nil, err
	}
	running, err := startMeasurement()
	if err != nil {
		return nil, err
	}
	units, err := work(get)
	if err != nil {
		return nil, err
	}
	done, err := running.stop(units)
	if err != nil {
		return nil, err
	}
	sum := &digest{}
	for _, key := range names {
		pod, err := client.CoreV1().Pods(key[0]).Get(context.Background(), key[1], metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		if err := sum.addObject(pod); err != nil {
			return nil, err
		}
	}
	done.Digest = sum
	return done, nil
}

// inProcessTransport is an http.RoundTripper that responds without a socket.
type inProcessTransport struct{ text []byte }

func (t inProcessTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	status := http.StatusOK
	if !strings.HasSuffix(request.URL.Path, "settings-0") {
		status = http.StatusNotFound
	}
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: request,
		Header: http.Header{"Content-Type": {"application/json"}},
		Body:   io.NopCloser(bytes.NewReader(t.text)), ContentLength: int64(len(t.text)),
	}, nil
}

// measureInProcessGets measures gets through an in-process transport.
func measureInProcessGets(j *job) (*outcome, error) {
	text, err := j.sendRequest("api/v1/configmaps/0")
	if err != nil {
		return nil, err
	}
	config := j.config()
	config.Transport = inProcessTransport{text}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	maps := client.CoreV1().ConfigMaps("team-0000")
	running, err := startMeasurement()
	if err != nil {
		return nil, err
	}
	for range j.Calls {
		object, err := maps.Get(context.Background(), "settings-0", metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		if object.Name != "settings-0" {
			return nil, fmt.Errorf("received another object: %s", object.Name)
		}
	}
	return running.stop(j.Calls)
}

// getPod gets a pod by namespace and name.
func getPod(client *kubernetes.Clientset, key [2]string) error {
	pod, err := client.CoreV1().Pods(key[0]).Get(context.Background(), key[1], metav1.GetOptions{})
	if err != nil {
		return err
	}
	if pod.Name != key[1] {
		return fmt.Errorf("received another object: %s", pod.Name)
	}
	return nil
}
