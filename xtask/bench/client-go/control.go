package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// ask asks the load source itself, over a connection of its own.
func (j *job) ask(path string) ([]byte, error) {
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
		return nil, fmt.Errorf("the load source refuses %s: %s", path, text)
	}
	return text, nil
}

// held waits until so many watches are open.
func (j *job) held(count int) error {
	_, err := j.ask(fmt.Sprintf("-/held?count=%d", count))
	return err
}

// sinceRelist is how long ago the list was asked for that followed the end of a watch.
func (j *job) sinceRelist() (time.Duration, error) {
	text, err := j.ask("-/since-relist")
	if err != nil {
		return 0, err
	}
	nanoseconds, err := strconv.ParseInt(string(text), 10, 64)
	return time.Duration(nanoseconds), err
}

// names are namespaces and names of so many pods.
func (j *job) names(count int) ([][2]string, error) {
	text, err := j.ask(fmt.Sprintf("-/names?count=%d", count))
	if err != nil {
		return nil, err
	}
	var names [][2]string
	return names, json.Unmarshal(text, &names)
}
