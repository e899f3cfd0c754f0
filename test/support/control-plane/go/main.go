// One binary for several programs of a control plane; the name it is called by says which one it is.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

var programs = map[string]func(){}

func main() {
	name := filepath.Base(os.Args[0])
	if run, found := programs[name]; found {
		run()
		return
	}
	fmt.Fprintln(os.Stderr, "no such program:", name)
	os.Exit(2)
}
