// A stand-in for the HTTP server of a kubelet: it serves the streams and logs of pods that kwok simulates.
//
// exec runs the command on this machine. attach sends its input back. A forwarded port sends back what it receives,
// except port 1, on which nothing listens. The log of each container has two lines for each output.
//
// Usage: kubelet ADDRESS CERTIFICATE KEY
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

const (
	idleTimeout     = 10 * time.Minute
	creationTimeout = 30 * time.Second
	closedPort      = 1
)

type runtime struct{}

// ExecInContainer runs a command. With a terminal, it first reports each size of the terminal until the input ends.
func (runtime) ExecInContainer(ctx context.Context, _, _, _ string, command []string, in io.Reader, out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	if tty {
		go func() {
			for size := range resize {
				fmt.Fprintf(out, "%dx%d\n", size.Width, size.Height)
			}
		}()
	}
	process := exec.CommandContext(ctx, command[0], command[1:]...)
	if out != nil {
		process.Stdout = out
	}
	if errOut != nil {
		process.Stderr = errOut
	} else if tty {
		process.Stderr = out
	}
	if in != nil {
		// Not `process.Stdin`: Wait would wait for the end of the input after the end of the process.
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
	if exit, ok := err.(*exec.ExitError); ok {
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return err
}

// AttachContainer sends the input back.
func (runtime) AttachContainer(_ context.Context, _, _, _ string, in io.Reader, out, _ io.WriteCloser, _ bool, _ <-chan remotecommand.TerminalSize) error {
	if in == nil {
		_, err := io.WriteString(out, "attached\n")
		return err
	}
	_, err := io.Copy(out, in)
	return err
}

// PortForward sends back what it receives.
func (runtime) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	if port == closedPort {
		return fmt.Errorf("connection refused")
	}
	_, err := io.Copy(stream, stream)
	return err
}

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
		remotecommand.ServeExec(w, r, runtime{}, pod, "", container, command, options, idleTimeout, creationTimeout, protocols)
	} else {
		remotecommand.ServeAttach(w, r, runtime{}, pod, "", container, options, idleTimeout, creationTimeout, protocols)
	}
}

func servePortForward(w http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, runtime{}, r.PathValue("pod"), "", options, idleTimeout, creationTimeout, portforward.SupportedProtocols)
}

func serveLogs(w http.ResponseWriter, r *http.Request) {
	var once sync.Once
	stream := r.URL.Query().Get("stream")
	for _, line := range []string{"Stdout 1", "Stderr 1", "Stdout 2", "Stderr 2"} {
		output, number, _ := strings.Cut(line, " ")
		if stream != "" && stream != "All" && stream != output {
			continue
		}
		once.Do(func() { w.Header().Set("Content-Type", "text/plain") })
		fmt.Fprintf(w, "%s %s\n", strings.ToLower(output), number)
		if flusher, ok := w.(http.Flusher); ok {
			flusher.Flush()
		}
	}
}

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: kubelet ADDRESS CERTIFICATE KEY")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", serveProcess)
	mux.HandleFunc("/attach/{namespace}/{pod}/{container}", serveProcess)
	mux.HandleFunc("/portForward/{namespace}/{pod}", servePortForward)
	mux.HandleFunc("/containerLogs/{namespace}/{pod}/{container}", serveLogs)
	// Without HTTP/2, which has no upgrades.
	server := &http.Server{Addr: os.Args[1], Handler: mux}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true)
	log.Fatal(server.ListenAndServeTLS(os.Args[2], os.Args[3]))
}
