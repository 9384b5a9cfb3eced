package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// data is anonymous resident memory. It excludes the program's code, whose resident part grows as more of it is executed.
const data = "RssAnon"

// running is a measurement in progress.
type running struct {
	wall       time.Time
	cpu        int64
	before     uint64
	beforeData uint64
}

// start begins a measurement and resets the peak of resident memory.
func start() (*running, error) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return nil, fmt.Errorf("reset the peak of this process's memory: %w", err)
	}
	before, err := memory("VmRSS")
	if err != nil {
		return nil, err
	}
	beforeData, err := memory(data)
	if err != nil {
		return nil, err
	}
	return &running{before: before, beforeData: beforeData, cpu: processorTime(), wall: time.Now()}, nil
}

// stop ends a measurement. Memory is read after a garbage collection that returns free pages to the system.
func (r *running) stop(units int) (*outcome, error) {
	wall, cpu := time.Since(r.wall), processorTime()-r.cpu
	peak, err := memory("VmHWM")
	if err != nil {
		return nil, err
	}
	runtime.GC()
	debug.FreeOSMemory()
	after, err := memory("VmRSS")
	if err != nil {
		return nil, err
	}
	afterData, err := memory(data)
	if err != nil {
		return nil, err
	}
	return &outcome{
		Units: units, WallNs: wall.Nanoseconds(), CPUNs: cpu,
		BeforeKiB: r.before, PeakKiB: peak, AfterKiB: after,
		KeptKiB: afterData - min(afterData, r.beforeData),
	}, nil
}

// memory returns a field of /proc/self/status in KiB.
func memory(name string) (uint64, error) {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			return strconv.ParseUint(strings.Fields(rest)[0], 10, 64)
		}
	}
	return 0, fmt.Errorf("no %s in /proc/self/status", name)
}

func processorTime() int64 {
	var usage syscall.Rusage
	// Getrusage cannot fail for RUSAGE_SELF.
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Utime.Nano() + usage.Stime.Nano()
}
