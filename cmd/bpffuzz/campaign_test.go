package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/bpffuzz/bpffuzz/fuzz/campaign"
)

// line reads lines until one matches, and returns it.
func (r *running) line(pattern string) string {
	r.t.Helper()
	re := regexp.MustCompile(pattern)
	for r.read() {
		if text := r.lines.Text(); re.MatchString(text) {
			return text
		}
	}
	r.t.Fatalf("the command ended before a line matched %s: %v", pattern, r.cmd.Wait())
	return ""
}

// install copies a file, as a build does that appears whole.
func install(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to+".new", b, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
}

// newCampaignDir makes a directory with a campaign of two targets.
func newCampaignDir(t *testing.T) string {
	t.Helper()
	if !privileged() {
		t.Skip("running programs needs CAP_BPF, CAP_NET_ADMIN, CAP_PERFMON and CAP_SYS_ADMIN")
	}
	dir := t.TempDir()
	install(t, "testdata/rebuilt/before/forgetful.o", filepath.Join(dir, "fw.o"))
	install(t, "testdata/clean.o", filepath.Join(dir, "clean.o"))
	text := "output: out\nduration: 8h\nturn: 1s\nworkers: 1\ntargets:\n  - {object: fw.o, program: forgetful}\n  - object: clean.o\n"
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func readPast(t *testing.T, dir string) *campaign.Past {
	t.Helper()
	past, err := campaign.ReadPast(filepath.Join(dir, "out", pastFile))
	if err != nil || past == nil {
		t.Fatalf("the campaign's past is %v, error %v", past, err)
	}
	return past
}

// A campaign that is killed, or stopped, goes on where it stopped, with the same seeds and
// shares; what was new still is.
func TestCampaignGoesOn(t *testing.T) {
	dir := newCampaignDir(t)
	r := start(t, dir, "bpffuzz", "campaign", "c.yaml")
	r.line(`fw: finding: `)
	r.line(`^bpffuzz: clean: turn 1 took `)
	r.line(`^bpffuzz: .*: turn 2 took `)
	other := start(t, dir, "bpffuzz", "campaign", "c.yaml")
	if said := other.line(`in use by`); !strings.Contains(said, fmt.Sprintf("output directory out is in use by process %d:", r.cmd.Process.Pid)) {
		t.Errorf("another process is told %q", said)
	}
	if code := other.end().ExitCode(); code != exitError {
		t.Errorf("another process ends with code %d", code)
	}
	r.signal(syscall.SIGKILL)
	r.end()
	killed := readPast(t, dir)
	if s := killed.Session; s.Ended || s.Used <= 0 || killed.Target("fw").Turns == 0 || killed.Target("clean").Turns == 0 {
		t.Fatalf("a campaign that was killed left %+v, %+v", s, killed.Targets)
	}

	r = start(t, dir, "bpffuzz", "campaign", "--json", "c.yaml")
	r.line(`^bpffuzz: going on with the campaign that was stopped after [0-9]+s$`)
	r.line(fmt.Sprintf(`^bpffuzz: campaign c.yaml: nightly, 2 targets, 1 worker, for 8h0m0s, seed %d,`, killed.Seed))
	r.line(fmt.Sprintf(`^bpffuzz: (fw: turn %d|clean: turn %d) took `, killed.Target("fw").Turns+1, killed.Target("clean").Turns+1))
	r.signal(syscall.SIGINT)
	if code := r.end().ExitCode(); code != exitFindings {
		t.Errorf("with findings that the killed process found the code is %d", code)
	}
	if !strings.Contains(r.stdout.String(), `"ended":false`) || strings.Contains(r.stdout.String(), `"new_findings":0`) {
		t.Errorf("the summary is %s", &r.stdout)
	}
	now := readPast(t, dir)
	if now.Session.Used <= killed.Session.Used || now.Session.Ended || now.Seed != killed.Seed {
		t.Errorf("the session was %+v and is %+v", killed.Session, now.Session)
	}
}

// Builds come and go while a campaign runs: a new one keeps the corpus, what it mends is
// seen, and a target whose object is missing waits for it while others go on.
func TestCampaignMeetsNewBuilds(t *testing.T) {
	dir := newCampaignDir(t)
	fw, clean := filepath.Join(dir, "fw.o"), filepath.Join(dir, "clean.o")
	r := start(t, dir, "bpffuzz", "campaign", "c.yaml")
	r.line(`written to out/fw/findings/`)
	r.line(`written to out/fw/findings/`)
	if err := os.Remove(clean); err != nil {
		t.Fatal(err)
	}
	r.line(`^bpffuzz: clean: warning: it cannot run, the others go on and it is tried again later: .*no such file`)
	install(t, "testdata/rebuilt/after/forgetful.o", fw)
	r.line(`^bpffuzz: fw: fw.o was built again: the corpus is kept, and findings run again$`)
	r.line(`^bpffuzz: fw: 2 findings ran again: 1 still failing, 1 fixed$`)
	r.line(`^bpffuzz: fw: of [0-9]+ edges that the build before passed, [0-9]+ are passed at the same source lines, `)
	install(t, "testdata/clean.o", clean)
	r.line(`^bpffuzz: clean: turn [0-9]+ took `)
	r.signal(syscall.SIGINT)
	if code := r.end().ExitCode(); code != exitFindings {
		t.Errorf("the code is %d", code)
	}
	if past := readPast(t, dir); past.Target("clean").Problem != "" {
		t.Errorf("it is said not to run: %s", past.Target("clean").Problem)
	}
}

func TestCarriedText(t *testing.T) {
	before := map[string]string{"a": "f.c:1", "b": "f.c:2", "c": "f.c:3", "d": "", "e": "f.c:9"}
	all := map[string]string{"a": "f.c:2", "b": "f.c:3", "c": "f.c:4", "d": "", "x": "f.c:7"}
	got := carriedText(before, map[string]string{"a": "f.c:2", "x": "f.c:7"}, all)
	want := "of 5 edges that the build before passed, 1 are passed at the same source lines, 3 are not passed, 1 are gone; not passed: f.c:3, f.c:4"
	if got != want {
		t.Errorf("it says %q, want %q", got, want)
	}
}
