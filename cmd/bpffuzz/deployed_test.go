package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

// Files of examples/campaign that run the command elsewhere.
const (
	unitFile     = "../../examples/campaign/bpffuzz.service"
	timerFile    = "../../examples/campaign/bpffuzz.timer"
	workflowFile = "../../examples/campaign/github-actions.yaml"
	cronFile     = "../../examples/campaign/cronjob.yaml"
)

// cronJob is what of a Kubernetes CronJob matters here.
type cronJob struct {
	Kind string
	Spec struct {
		ConcurrencyPolicy string `yaml:"concurrencyPolicy"`
		JobTemplate       struct {
			Spec struct {
				Template struct {
					Spec struct {
						Containers []container
					}
				}
			}
		} `yaml:"jobTemplate"`
	}
}

type container struct {
	Command         []string
	SecurityContext struct {
		Privileged   bool
		Capabilities struct{ Drop, Add []string }
	} `yaml:"securityContext"`
}

// workflow is what of a workflow for GitHub Actions matters here.
type workflow struct {
	On   map[string]any
	Jobs map[string]struct {
		Steps []struct{ Name, If, Run string }
	}
}

func readExample(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func readCronJob(t *testing.T) container {
	t.Helper()
	job, claim, _ := strings.Cut(readExample(t, cronFile), "\n---\n")
	var c cronJob
	if err := yaml.Unmarshal([]byte(job), &c); err != nil {
		t.Fatal(err)
	}
	var other struct{ Kind string }
	if err := yaml.Unmarshal([]byte(claim), &other); err != nil || other.Kind != "PersistentVolumeClaim" {
		t.Errorf("behind the job there is %q, error %v", other.Kind, err)
	}
	list := c.Spec.JobTemplate.Spec.Template.Spec.Containers
	if c.Kind != "CronJob" || c.Spec.ConcurrencyPolicy != "Forbid" || len(list) != 1 {
		t.Fatalf("the job is %+v", c)
	}
	return list[0]
}

// setting returns the values of a key of a systemd unit.
func setting(unit, key string) []string {
	var values []string
	for line := range strings.Lines(unit) {
		if value, ok := strings.CutPrefix(line, key+"="); ok {
			values = append(values, strings.Fields(value)...)
		}
	}
	return values
}

// understood checks that a command line is one of ours, without running it.
func understood(t *testing.T, words []string) {
	t.Helper()
	root := newRoot(&ui{stdout: io.Discard, stderr: io.Discard})
	cmd, args, err := root.Find(words[1:])
	if err == nil && cmd == root {
		t.Errorf("%q names no command", words)
	}
	if err == nil {
		err = cmd.ParseFlags(args)
	}
	if err == nil {
		err = cmd.ValidateArgs(cmd.Flags().Args())
	}
	if err != nil || filepath.Base(words[0]) != "bpffuzz" {
		t.Errorf("%q: %v", words, err)
	}
}

// TestDeployedCommands: unit, workflow and job run commands that there are.
func TestDeployedCommands(t *testing.T) {
	understood(t, setting(readExample(t, unitFile), "ExecStart"))
	understood(t, readCronJob(t).Command)
	var w workflow
	if err := yaml.Unmarshal([]byte(readExample(t, workflowFile)), &w); err != nil {
		t.Fatal(err)
	}
	modes := 0
	for _, step := range w.Jobs["fuzz"].Steps {
		_, line, found := strings.Cut(step.Run, `sudo "$(go env GOPATH)/bin/bpffuzz" `)
		if !found {
			continue
		}
		modes++
		understood(t, append([]string{"bpffuzz"}, strings.Fields(line)...))
		event := map[bool]string{true: "pull_request", false: "schedule"}[strings.Contains(line, "--mode pr")]
		if _, triggers := w.On[event]; !triggers || !strings.Contains(step.If, event) {
			t.Errorf("step %q runs on %q, want %s, which triggers the workflow", step.Name, step.If, event)
		}
	}
	if modes != 2 {
		t.Errorf("the workflow fuzzes in %d steps, want one for pull requests and one for nights", modes)
	}
}

// TestUnitsAreValid asks systemd.
func TestUnitsAreValid(t *testing.T) {
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	service, timer := filepath.Join(dir, "bpffuzz.service"), filepath.Join(dir, "bpffuzz.timer")
	unit := readExample(t, unitFile)
	for path, text := range map[string]string{
		service: strings.Replace(unit, setting(unit, "ExecStart")[0], "/bin/true", 1), timer: readExample(t, timerFile),
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(tool, "verify", service, timer).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out)
	}
}

// TestDeployedCapabilities: with the capabilities that unit and job name, and no others,
// a program is fuzzed in batches and the kernel's log is heard.
func TestDeployedCapabilities(t *testing.T) {
	named := setting(readExample(t, unitFile), "CapabilityBoundingSet")
	var short []string
	for _, name := range named {
		short = append(short, strings.TrimPrefix(name, "CAP_"))
	}
	c := readCronJob(t).SecurityContext
	if c.Privileged || !slices.Equal(c.Capabilities.Drop, []string{"ALL"}) || !slices.Equal(c.Capabilities.Add, short) {
		t.Errorf("the job has %+v, the unit %q", c, short)
	}
	tool, err := exec.LookPath("setpriv")
	switch {
	case err != nil:
		t.Skip("setpriv is not installed")
	case os.Geteuid() != 0 || !privileged():
		t.Skip("needs root, to give up all capabilities but those")
	}
	set := "-all,+" + strings.ToLower(strings.Join(short, ",+"))
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	command := filepath.Join(dir, "bpffuzz") // the name makes the test's executable the command
	if err := os.Symlink(exe, command); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tool, "--bounding-set="+set, "--inh-caps="+set, "--",
		command, "run", "--execs", "2000", "-j", "1", "--seed", "1", "-o", filepath.Join(dir, "out"), "testdata/planted.o")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil && cmd.ProcessState.ExitCode() != exitFindings {
		t.Fatalf("%v:\n%s", err, &said)
	}
	if !strings.Contains(said.String(), "executor batch") || regexp.MustCompile(`(?i)operation not permitted|missing cap_|hears nothing`).Match(said.Bytes()) {
		t.Errorf("with %s it says\n%s", set, &said)
	}
}
