package main

import (
	"os"
	"strings"
	"testing"
)

func TestJSONThatCannotBeWrittenIsAnError(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skipf("needs /dev/full: %v", err)
	}
	defer full.Close()
	u := &ui{stdout: full, stderr: os.Stderr}
	if err := u.printJSON(map[string]int{"a": 1}); err == nil || !strings.Contains(err.Error(), "standard output") {
		t.Errorf("error %v, want one about standard output", err)
	}
}
