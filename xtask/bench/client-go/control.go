package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// sendRequest sends a GET request to the mock API server over a separate connection, and returns the body of the response.
func (j *job) sendRequest(path string) ([]byte, error) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + j.Source + "/" + j.Session + "/" + path)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the mock API server rejected %s: %s", path, text)
	}
	return text, nil
}

// waitForWatches waits until the mock API server holds count open watches.
func (j *job) waitForWatches(count int) error {
	_, err := j.sendRequest(fmt.Sprintf("-/held?count=%d", count))
	return err
}

// startWithWatch waits until the mock API server holds a watch. It then starts a measurement, and sends a control
// request. After this request, the mock API server sends the watch events or lets the watch expire.
func (j *job) startWithWatch(control string) (*measurement, error) {
	if err := j.waitForWatches(1); err != nil {
		return nil, err
	}
	running, err := startMeasurement()
	if err != nil {
		return nil, err
	}
	_, err = j.sendRequest(control)
	return running, err
}

// timeSinceRelist returns the time since the mock API server received the first list request after the watch expired.
func (j *job) timeSinceRelist() (time.Duration, error) {
	text, err := j.sendRequest("-/since-relist")
	if err != nil {
		return 0, err
	}
	nanoseconds, err := strconv.ParseInt(string(text), 10, 64)
	return time.Duration(nanoseconds), err
}

// podNames returns the namespaces and names of count pods.
func (j *job) podNames(count int) ([][2]string, error) {
	text, err := j.sendRequest(fmt.Sprintf("-/names?count=%d", count))
	if err != nil {
		return nil, err
	}
	var names [][2]string
	return names, json.Unmarshal(text, &names)
}
