//go:build !controller_runtime

package main

import "errors"

// runControllerRuntimeRow fails: this build of the program does not contain controller-runtime.
func runControllerRuntimeRow(*job) (*outcome, error) {
	return nil, errors.New("the row needs the build tag controller_runtime")
}
