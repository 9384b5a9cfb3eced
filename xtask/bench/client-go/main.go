// This program is client-go's contender in `cargo xtask bench`. It uses shared informers, as Go operators do.
//
// With the build tag controller_runtime, the program also has the rows of controller-runtime. The bench uses this
// build only for these rows, because controller-runtime adds metrics to client-go.
//
// The program takes one argument, a job as JSON. It executes the row of the job, and prints one line with the outcome.
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

// outcome is the measured cost of a job.
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

// absentRow is the error of a row that this program, the contender client-go, does not have.
type absentRow struct{ reason string }

func (a absentRow) Error() string { return a.reason }

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
	if a, ok := err.(absentRow); ok {
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
		return measureList(j)
	case "store-list", "store-watchlist":
		return measureStoreOfPods(j)
	case "store-compact", "store-compact-decoded", "store-compact-zstd", "store-compact-reads":
		return nil, absentRow{"client-go has no compact store"}
	case "store-incomplete":
		return nil, absentRow{"client-go's pod informers decode all fields"}
	case "store-kinds":
		return measureStoresOfKinds(j)
	case "events":
		return measureStoreEvents(j)
	case "filter-generation":
		return measureGenerationFilter(j)
	case "filter-labels":
		return measureLabelFilter(j)
	case "get":
		return measureSequentialGets(j)
	case "get-32":
		return measureConcurrentGets(j)
	case "get-in-process":
		return measureInProcessGets(j)
	case "watches":
		return measureCallsWithWatches(j)
	case "exec-stdout", "exec-stdin":
		return nil, absentRow{"the row compares the two Rust clients"}
	case "relist":
		return measureRelist(j)
	case "first-reconcile":
		return measureFirstReconcile(j)
	case "reconcile":
		return measureRepeatedReconciles(j)
	case "subscribers":
		return measureSubscribers(j)
	case "index-lookups":
		return measureIndexLookups(j)
	case "shared-controllers", "priority-queue", "idle-manager":
		return runControllerRuntimeRow(j)
	}
	if strings.HasSuffix(j.Row, "-tls-http1") {
		return nil, absentRow{"client-go uses HTTP/2 where the server offers it"}
	}
	if strings.HasSuffix(j.Row, "-tls-hyper-util") {
		return nil, absentRow{"the row compares two transports of this project"}
	}
	return nil, fmt.Errorf("unknown row")
}

// protobufMediaType is the media type of Kubernetes objects in Protobuf.
const protobufMediaType = "application/vnd.kubernetes.protobuf"

// config returns a configuration with the URL of the session and the format of the row. The configuration has no
// client-side rate limit, and the client verifies no certificates. All other settings have their defaults.
func (j *job) config() *rest.Config {
	config := j.jsonConfig()
	if strings.HasSuffix(j.Row, "-protobuf") {
		config.ContentType = protobufMediaType
		config.AcceptContentTypes = protobufMediaType + ",application/json"
	}
	return config
}

// jsonConfig returns the configuration that config returns, but always for JSON. Custom resources need JSON, because they
// have no Protobuf format.
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
		// The certificate of the mock API server is self-signed, so no contender verifies this certificate.
		config.TLSClientConfig.Insecure = true
	}
	return config
}

// clientset returns a client with the configuration that j.config returns.
func (j *job) clientset() (*kubernetes.Clientset, error) {
	return kubernetes.NewForConfig(j.config())
}
