//go:build !controller_runtime

package main

import "errors"

// controllerRuntimeRow fails: this program has no controller-runtime.
func controllerRuntimeRow(*job) (*outcome, error) {
	return nil, errors.New("the row needs the build tag controller_runtime")
}
