package bpf

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/guest"
)

// guestPatience is how long a guest may take. Without hardware that helps it needs
// half a minute, and more where the machine has other things to do.
const guestPatience = 5 * time.Minute

// inGuest runs tests of this package, with its testdata, under a guest's kernel.
func inGuest(t *testing.T, pattern string) *guest.Result {
	t.Helper()
	image, err := guest.Find()
	if errors.Is(err, guest.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "test")
	if err := guest.Build(t.Context(), program, "test", "-c", "."); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), guestPatience)
	defer cancel()
	built := time.Now()
	res, err := guest.Run(ctx, guest.Options{
		Kernel: image, Program: program, Args: []string{"-test.v", "-test.run", pattern}, Files: testdata(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("kernel %s, off after %v:\n%s", filepath.Base(image), time.Since(built).Round(time.Second), res.Output)
	return res
}

// testdata returns the files of testdata, as guest.Options takes them.
func testdata(t *testing.T) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir("testdata", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files[filepath.ToSlash(path)] = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// The kernel of a development machine may refuse these types. A guest's does not,
// so there each has to run.
func TestTracingInGuest(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a machine")
	}
	res := inGuest(t, "^TestTracing(Runs|FindsPlantedBugs)$")
	if res.Status != 0 {
		t.Errorf("the tests in the guest end with status %d", res.Status)
	}
	for _, tt := range watchers() {
		for _, test := range []string{"TestTracingRuns", "TestTracingFindsPlantedBugs"} {
			t.Run(test+"/"+tt.program, func(t *testing.T) {
				name := test + "/" + tt.program + " "
				if tt.program == "fmod_ret" && strings.Contains(res.Output, "--- SKIP: "+name) && strings.Contains(res.Output, notModifiable) {
					t.Skip("the guest's kernel lets fmod_ret programs replace no results: boot a newer one")
				}
				if !strings.Contains(res.Output, "--- PASS: "+name) {
					t.Error("did not run in the guest")
				}
			})
		}
	}
}

// Claims are read from the log of the guest's kernel, and hold there.
func TestClaimsInGuest(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a machine")
	}
	res := inGuest(t, "^(TestLogOfThisKernel|TestClaimsOfTypesHold)$")
	if res.Status != 0 {
		t.Errorf("the tests in the guest end with status %d", res.Status)
	}
	for _, test := range []string{"TestLogOfThisKernel", "TestClaimsOfTypesHold"} {
		if !strings.Contains(res.Output, "--- PASS: "+test+" ") {
			t.Errorf("%s did not run in the guest", test)
		}
	}
}
