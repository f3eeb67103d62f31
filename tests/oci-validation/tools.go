//go:build tools

// Package tools pins the programs that the tests build: the validation suite with the program that looks
// around inside the container, and the validator of the specification's JSON schemas.
package tools

import (
	_ "github.com/opencontainers/runtime-spec/schema"
	_ "github.com/opencontainers/runtime-tools/cmd/runtimetest"
	_ "github.com/opencontainers/runtime-tools/validation/util"
)
