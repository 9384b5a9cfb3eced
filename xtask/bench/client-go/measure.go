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

// anonymousMemoryField is the field of /proc/self/status with the anonymous resident memory. Anonymous memory excludes
// the code of the program. The resident part of the code grows as the program executes more code.
const anonymousMemoryField = "RssAnon"

// measurement is a measurement in progress.
type measurement struct {
	wall            time.Time
	cpu             int64
	wakeUps         int64
	before          uint64
	beforeAnonymous uint64
}

// startMeasurement begins a measurement and resets the peak of resident memory.
func startMeasurement() (*measurement, error) {
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return nil, fmt.Errorf("reset the peak of this process's memory: %w", err)
	}
	before, err := memoryField("VmRSS")
	if err != nil {
		return nil, err
	}
	beforeAnonymous, err := memoryField(anonymousMemoryField)
	if err != nil {
		return nil, err
	}
	running := &measurement{before: before, beforeAnonymous: beforeAnonymous}
	running.restartTime()
	return running, nil
}

// restartTime starts the measurement of time and wake-ups again. The growth of memory still counts from the call of
// startMeasurement.
func (m *measurement) restartTime() {
	m.cpu, m.wakeUps = cpuTimeAndSwitches()
	m.wall = time.Now()
}

// stop ends a measurement. It first reads the times, the wake-ups and the peak of resident memory. It then
// collects garbage, returns free pages to the system, and reads the current memory.
func (m *measurement) stop(units int) (*outcome, error) {
	wall := time.Since(m.wall)
	cpu, wakeUps := cpuTimeAndSwitches()
	peak, err := memoryField("VmHWM")
	if err != nil {
		return nil, err
	}
	runtime.GC()
	debug.FreeOSMemory()
	after, err := memoryField("VmRSS")
	if err != nil {
		return nil, err
	}
	afterAnonymous, err := memoryField(anonymousMemoryField)
	if err != nil {
		return nil, err
	}
	return &outcome{
		Units: units, WallNs: wall.Nanoseconds(), CPUNs: cpu - m.cpu, WakeUps: wakeUps - m.wakeUps,
		BeforeKiB: m.before, PeakKiB: peak, AfterKiB: after,
		KeptKiB: afterAnonymous - min(afterAnonymous, m.beforeAnonymous),
	}, nil
}

// memoryField returns a field of /proc/self/status in KiB.
func memoryField(name string) (uint64, error) {
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

// cpuTimeAndSwitches returns the CPU time of this process in nanoseconds, and the number of its voluntary context switches.
func cpuTimeAndSwitches() (cpu, waits int64) {
	var usage syscall.Rusage
	// Getrusage cannot fail for RUSAGE_SELF.
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return usage.Utime.Nano() + usage.Stime.Nano(), usage.Nvcsw
}
