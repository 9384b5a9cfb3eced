// client-go's contender in `cargo xtask bench`: shared informers, as Go operators use them.
//
// With the build tag controller_runtime, the program also has the rows of controller-runtime. The bench executes only
// these rows with this program, because controller-runtime adds metrics to client-go.
//
// The program takes one argument, a job as JSON, executes one row, and prints the outcome as its only line.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// job is one run of one row. A row is one measurement in the bench's table.
type job struct {
	Row       string `json:"row"`
	Source    string `json:"source"`
	TLSSource string `json:"tls_source"`
	Session   string `json:"session"`
	Calls     int    `json:"calls"`
}

// outcome is the measured cost of the work.
type outcome struct {
	Units     int     `json:"units"`
	WallNs    int64   `json:"wall_ns"`
	CPUNs     int64   `json:"cpu_ns"`
	BeforeKiB uint64  `json:"before_kib"`
	PeakKiB   uint64  `json:"peak_kib"`
	AfterKiB  uint64  `json:"after_kib"`
	KeptKiB   uint64  `json:"kept_kib"`
	WakeUps   int64   `json:"wakeups"`
	Digest    *digest `json:"digest"`
}

// absent is the error of a row whose feature client-go does not have.
type absent struct{ reason string }

func (a absent) Error() string { return a.reason }

func main() {
	if err := runJob(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// runJob executes the job of the command line and prints its outcome as JSON.
func runJob() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("expected one argument: the job as JSON (`cargo xtask bench` starts this program)")
	}
	var j job
	if err := json.Unmarshal([]byte(os.Args[1]), &j); err != nil {
		return fmt.Errorf("decode the job: %w", err)
	}
	// client-go reads feature gates once, when the first informer starts.
	watchList := "false"
	if strings.HasPrefix(j.Row, "store-watchlist") {
		watchList = "true"
	}
	if err := os.Setenv("KUBE_FEATURE_WatchListClient", watchList); err != nil {
		return err
	}
	done, err := runRow(&j)
	report := map[string]any{"done": done}
	if a, ok := err.(absent); ok {
		report = map[string]any{"absent": map[string]string{"reason": a.reason}}
	} else if err != nil {
		return fmt.Errorf("the row %s: %w", j.Row, err)
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

// runRow executes the row that the job names.
func runRow(j *job) (*outcome, error) {
	switch strings.TrimSuffix(strings.TrimSuffix(j.Row, "-tls"), "-protobuf") {
	case "list":
		return listPods(j)
	case "store-list", "store-watchlist":
		return storePods(j)
	case "store-compact", "store-compact-decoded", "store-compact-zstd", "store-compact-reads":
		return nil, absent{"client-go has no compact store"}
	case "store-incomplete":
		return nil, absent{"client-go's pod informers decode all fields"}
	case "store-kinds":
		return storeKinds(j)
	case "events":
		return eventsIntoStore(j)
	case "filter-generation":
		return eventsByGeneration(j)
	case "filter-labels":
		return eventsByLabels(j)
	case "get":
		return getSequential(j)
	case "get-32":
		return getConcurrent(j)
	case "get-in-process":
		return getInProcess(j)
	case "watches":
		return watchesAndCalls(j)
	case "exec-stdout", "exec-stdin":
		return nil, absent{"the row compares the two Rust clients"}
	case "relist":
		return relist(j)
	case "first-reconcile":
		return firstReconcile(j)
	case "reconcile":
		return repeatedReconciles(j)
	case "subscribers":
		return manySubscribers(j)
	case "index-lookups":
		return indexLookups(j)
	case "shared-controllers", "priority-queue", "idle-manager":
		return controllerRuntimeRow(j)
	}
	if strings.HasSuffix(j.Row, "-tls-http1") {
		return nil, absent{"client-go uses HTTP/2 where the server offers it"}
	}
	if strings.HasSuffix(j.Row, "-tls-hyper-util") {
		return nil, absent{"the row compares two transports of this project"}
	}
	return nil, fmt.Errorf("unknown row")
}

// protobuf is the media type of Protobuf.
const protobuf = "application/vnd.kubernetes.protobuf"

// config returns a configuration with the session's URL, the row's format and no client-side rate limit. All other
// settings have their defaults.
func (j *job) config() *rest.Config {
	config := j.jsonConfig()
	if strings.HasSuffix(j.Row, "-protobuf") {
		config.ContentType = protobuf
		config.AcceptContentTypes = protobuf + ",application/json"
	}
	return config
}

// jsonConfig returns the configuration that config returns, but always for JSON: custom resources have no Protobuf.
func (j *job) jsonConfig() *rest.Config {
	config := &rest.Config{
		Host: "http://" + j.Source + "/" + j.Session,
		QPS:  -1,
		ContentConfig: rest.ContentConfig{
			ContentType:        "application/json",
			AcceptContentTypes: "application/json",
		},
	}
	if strings.HasSuffix(j.Row, "-tls") || j.Row == "watches" {
		config.Host = "https://" + j.TLSSource + "/" + j.Session
		// The certificate is self-signed. No row measures handshakes.
		config.TLSClientConfig.Insecure = true
	}
	return config
}

// clientset returns a client with the configuration that j.config returns.
func (j *job) clientset() (*kubernetes.Clientset, error) {
	return kubernetes.NewForConfig(j.config())
}
