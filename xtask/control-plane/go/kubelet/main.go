// A stand-in for the HTTP server of a kubelet. It serves the logs, processes and ports of the pods that kwok simulates.
// It uses the streaming library of the kubelet, so that exit codes and separate outputs arrive as in a real cluster.
//
//   - exec runs the command on this machine, without a container. With a terminal, it writes each new terminal size as
//     a line.
//   - attach sends its input back, and ends at the end of the input; without input, it writes one line. With a
//     terminal, it writes each new terminal size as a line.
//   - Forwarded ports: port 1 refuses connections. Port 2 sends the received bytes back after the end of its input. Every
//     other port sends received bytes back immediately.
//   - The log of each container has two lines of standard output and two of standard error. A followed log gets further
//     lines until the client disconnects.
//
// The stand-in accepts only the client certificate of the API server, because an accepted client can run commands.
//
// Usage: kubelet ADDRESS CERTIFICATE KEY CLIENT_CA CLIENT_NAME
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

const (
	idleTimeout     = 10 * time.Minute
	creationTimeout = 30 * time.Second
	// The interval between two lines of a followed log.
	logInterval = 100 * time.Millisecond

	refusedPort   = 1
	echoAtEndPort = 2
)

// streamingRuntime implements the interfaces of the streaming library.
type streamingRuntime struct{}

// writeSizes writes each size of the terminal as a line, until the connection ends.
func writeSizes(out io.Writer, sizes <-chan remotecommand.TerminalSize) {
	for size := range sizes {
		fmt.Fprintf(out, "%dx%d\n", size.Width, size.Height)
	}
}

// ExecInContainer runs a command on this machine.
func (streamingRuntime) ExecInContainer(ctx context.Context, _, _, _ string, command []string, in io.Reader, out, errOut io.WriteCloser, tty bool, sizes <-chan remotecommand.TerminalSize, _ time.Duration) error {
	process := exec.CommandContext(ctx, command[0], command[1:]...)
	// Without a writer, os/exec discards the output.
	if out != nil {
		process.Stdout = out
	}
	if errOut != nil {
		process.Stderr = errOut
	}
	if tty {
		process.Stderr = out
		go writeSizes(out, sizes)
	}
	if in != nil {
		// With process.Stdin, Run would wait for the end of the input even after the process has ended.
		stdin, err := process.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			io.Copy(stdin, in)
			stdin.Close()
		}()
	}
	err := process.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return err
}

// AttachContainer sends the input back. Without input, it writes one line.
func (streamingRuntime) AttachContainer(_ context.Context, _, _, _ string, in io.Reader, out, errOut io.WriteCloser, tty bool, sizes <-chan remotecommand.TerminalSize) error {
	var to io.Writer = io.Discard
	if out != nil {
		to = out
	} else if errOut != nil {
		to = errOut
	}
	if tty {
		go writeSizes(to, sizes)
	}
	if in == nil {
		_, err := io.WriteString(to, "attached\n")
		return err
	}
	_, err := io.Copy(to, in)
	return err
}

// PortForward serves one connection to a port of a pod.
func (streamingRuntime) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	switch port {
	case refusedPort:
		return errors.New("connection refused")
	case echoAtEndPort:
		received, err := io.ReadAll(stream)
		if err != nil {
			return err
		}
		_, err = stream.Write(received)
		return err
	default:
		_, err := io.Copy(stream, stream)
		return err
	}
}

// serveProcess serves exec and attach.
func serveProcess(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	pod, container := r.PathValue("pod"), r.PathValue("container")
	protocols := remotecommand.SupportedStreamingProtocols
	if strings.HasPrefix(r.URL.Path, "/exec/") {
		command := r.URL.Query()["command"]
		if len(command) == 0 {
			http.Error(w, "the request has no command", http.StatusBadRequest)
			return
		}
		remotecommand.ServeExec(w, r, streamingRuntime{}, pod, "", container, command, options, idleTimeout, creationTimeout, protocols)
	} else {
		remotecommand.ServeAttach(w, r, streamingRuntime{}, pod, "", container, options, idleTimeout, creationTimeout, protocols)
	}
}

// servePortForward serves the connections to the ports of a pod.
func servePortForward(w http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, streamingRuntime{}, r.PathValue("pod"), "", options, idleTimeout, creationTimeout, portforward.SupportedProtocols)
}

// serveLogs serves the log of a container. It supports the query parameters stream, tailLines, timestamps and follow.
func serveLogs(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	stream, timestamps := query.Get("stream"), query.Get("timestamps") == "true"
	// line returns the name of the output stream and the text of line n. The lines alternate between standard output and
	// standard error.
	line := func(n int) (string, string) {
		output := [2]string{"stdout", "stderr"}[n%2]
		text := fmt.Sprintf("%s %d\n", output, n/2+1)
		if timestamps {
			text = fmt.Sprintf("2026-01-01T00:%02d:%02d.000000000Z %s", n/60%60, n%60, text)
		}
		return output, text
	}
	const existingLineCount = 4
	var lines []string
	add := func(n int) {
		if output, text := line(n); stream == "" || stream == "All" || strings.EqualFold(stream, output) {
			lines = append(lines, text)
		}
	}
	for n := range existingLineCount {
		add(n)
	}
	if tail, err := strconv.Atoi(query.Get("tailLines")); err == nil && tail < len(lines) {
		lines = lines[len(lines)-tail:]
	}
	w.Header().Set("Content-Type", "text/plain")
	for n := existingLineCount; ; n++ {
		for _, text := range lines {
			io.WriteString(w, text)
		}
		if query.Get("follow") != "true" {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-r.Context().Done():
			return
		case <-time.After(logInterval):
		}
		lines = nil
		add(n)
	}
}

// serverTLSConfig returns the configuration of a server that checks the certificates of its clients. caFile is the path of
// the CA certificate. clientName is the common name that a client certificate must have.
func serverTLSConfig(caFile, clientName string) (*tls.Config, error) {
	text, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s contains no certificate", caFile)
	}
	verify := func(state tls.ConnectionState) error {
		if client := state.PeerCertificates[0].Subject.CommonName; client != clientName {
			return fmt.Errorf("the client is %q, not %q", client, clientName)
		}
		return nil
	}
	return &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool, VerifyConnection: verify}, nil
}

func main() {
	if len(os.Args) != 6 {
		log.Fatal("usage: kubelet ADDRESS CERTIFICATE KEY CLIENT_CA CLIENT_NAME")
	}
	config, err := serverTLSConfig(os.Args[4], os.Args[5])
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", serveProcess)
	mux.HandleFunc("/exec/{namespace}/{pod}/{uid}/{container}", serveProcess)
	mux.HandleFunc("/attach/{namespace}/{pod}/{container}", serveProcess)
	mux.HandleFunc("/attach/{namespace}/{pod}/{uid}/{container}", serveProcess)
	mux.HandleFunc("/portForward/{namespace}/{pod}", servePortForward)
	mux.HandleFunc("/portForward/{namespace}/{pod}/{uid}", servePortForward)
	mux.HandleFunc("/containerLogs/{namespace}/{pod}/{container}", serveLogs)
	server := &http.Server{Addr: os.Args[1], Handler: mux, TLSConfig: config}
	// Serve only HTTP/1.1: HTTP/2 has no connection upgrades, which exec, attach and port forwarding need.
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	log.Fatal(server.ListenAndServeTLS(os.Args[2], os.Args[3]))
}
