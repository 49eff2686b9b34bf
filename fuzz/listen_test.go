package fuzz

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

// loud is a toy while whose runs the kernel logs something.
type loud struct {
	*toy
	log    []string        // since somebody asked
	alone  bool            // an input runs alone
	reruns []*corpus.Input // that ran alone since something was logged
	logged bool
}

// newLoud has the kernel log lines when a packet has 7 as its last byte, as far as allowed.
func newLoud(lines []string, allowed func(l *loud) bool) *loud {
	l := &loud{}
	l.toy = newToy(1, func(r *toyRun, packet []byte) uint32 {
		if r.hit(0); packet[13] == 7 && allowed(l) {
			l.log, l.logged = append(l.log, lines...), true
		}
		return 2
	})
	l.shape.Log, l.shape.Packet.Max = true, 14
	return l
}

func (l *loud) NewExecutor(worker int) (Executor, error) {
	e, err := l.toy.NewExecutor(worker)
	if err != nil {
		return nil, err
	}
	return &loudExecutor{e.(*toyExecutor), l}, nil
}

type loudExecutor struct {
	*toyExecutor
	loud *loud
}

// Heard implements Listener.
func (e *loudExecutor) Heard(events []corpus.Event) ([]corpus.Event, error) {
	for _, line := range e.loud.log {
		events = append(events, corpus.Event{Source: triage.SourceLog, Text: line})
	}
	e.loud.log = nil
	return events, nil
}

func (e *loudExecutor) Alone(ctx context.Context, in *corpus.Input, want corpus.Have) (*corpus.Outcome, error) {
	if e.loud.log = nil; e.loud.logged {
		e.loud.reruns = append(e.loud.reruns, in.Clone())
	}
	e.loud.alone = true
	out, err := e.toyExecutor.Alone(ctx, in, want)
	e.loud.alone = false
	if err != nil {
		return nil, err
	}
	out.Events, err = e.Heard(out.Events[:0])
	out.Have |= corpus.HaveEvents
	return out, err
}

var (
	warning = []string{
		"------------[ cut here ]------------",
		"WARNING: CPU: 1 PID: 812 at net/core/filter.c:1716 bpf_skb_load_bytes+0xc0/0xd0",
		"RIP: 0010:bpf_skb_load_bytes+0xc0/0xd0",
		"---[ end trace 0000000000000000 ]---",
	}
	oops = []string{
		"BUG: kernel NULL pointer dereference, address: 0000000000000008",
		"Oops: 0000 [#1] PREEMPT SMP NOPTI",
		"RIP: 0010:bpf_sk_storage_get+0x3a/0x170",
		"---[ end trace 0000000000000000 ]---",
	}
)

// errAside ends a run at its first unconfirmed failure.
var errAside = errors.New("an unconfirmed failure")

// listen fuzzes until something is found, or nothing is confirmed.
func listen(t *testing.T, l *loud) (found []*triage.Finding, aside *triage.Unconfirmed) {
	t.Helper()
	oracles, _, err := triage.Oracles(&l.shape, triage.OracleOptions{Enable: map[string]bool{"nondeterministic": false}})
	if err != nil {
		t.Fatal(err)
	}
	result, err := Run(t.Context(), l, Options{
		Seed: 1, Execs: 100_000, StopOnFinding: true, Judge: triage.NewJudge(oracles, nil), Sample: 1 << 30,
		Triage:      triage.Options{Table: l.Table(), Shape: l.Shape()},
		Unconfirmed: func(u *triage.Unconfirmed) error { aside = u; return errAside },
	})
	if err != nil && !errors.Is(err, errAside) {
		t.Fatal(err)
	}
	if result != nil {
		found = result.Findings
	}
	return found, aside
}

func guilty(in *corpus.Input) bool {
	return slices.ContainsFunc(in.Steps, func(s corpus.Step) bool { return s.Packet[13] == 7 })
}

// Every input in flight is a suspect. They run again one by one, which names the guilty.
func TestSuspectsAreToldApart(t *testing.T) {
	l := newLoud(warning, func(*loud) bool { return true })
	found, aside := listen(t, l)
	if len(found) != 1 || aside != nil {
		t.Fatalf("%d findings, unconfirmed %v", len(found), aside)
	}
	f := found[0]
	if f.Oracle != triage.KernelSplat || len(f.Input.Steps) != 1 || !guilty(f.Input) {
		t.Errorf("finding %s: %x", f.Key, f.Input.Steps)
	}
	if want := "the kernel complains: warning in bpf_skb_load_bytes: WARNING: at net/core/filter.c:1716 bpf_skb_load_bytes"; f.Title != want {
		t.Errorf("title %q, want %q", f.Title, want)
	}
	var lines []string
	for _, e := range f.Events {
		lines = append(lines, e.Text)
	}
	if !slices.Equal(lines, warning) {
		t.Errorf("the finding has the lines %q", lines)
	}
	if innocent := slices.IndexFunc(l.reruns, func(in *corpus.Input) bool { return !guilty(in) }); innocent < 0 {
		t.Error("no other suspect ran again")
	}
}

// Where none of them does it again, all stay suspects, with what the kernel said.
func TestSuspectsOfWhatHappensOnce(t *testing.T) {
	l := newLoud(warning, func(l *loud) bool { return !l.logged && !l.alone })
	found, aside := listen(t, l)
	if len(found) != 0 || aside == nil {
		t.Fatalf("%d findings, unconfirmed %v", len(found), aside)
	}
	if len(aside.Batch.Steps) < 2 || !guilty(aside.Batch) {
		t.Errorf("the suspects are %x", aside.Batch.Steps)
	}
	if len(l.reruns) < len(aside.Batch.Steps)/2 {
		t.Errorf("%d inputs ran again, %d steps are suspects", len(l.reruns), len(aside.Batch.Steps))
	}
	if notes := strings.Join(aside.Notes, "\n"); !strings.Contains(notes, "every packet of the batch is a suspect") || !strings.Contains(notes, warning[1]) {
		t.Errorf("notes %q", aside.Notes)
	}
}

// What may have harmed the kernel is not run again.
func TestSuspectsOfHarmDoNotRunAgain(t *testing.T) {
	l := newLoud(oops, func(l *loud) bool { return !l.alone })
	found, aside := listen(t, l)
	if len(found) != 0 || aside == nil {
		t.Fatalf("%d findings, unconfirmed %v", len(found), aside)
	}
	if len(l.reruns) != 0 {
		t.Errorf("%d inputs ran again", len(l.reruns))
	}
	if !guilty(aside.Batch) || !strings.Contains(aside.Title, "bpf_sk_storage_get") {
		t.Errorf("unconfirmed %s: %x", aside.Title, aside.Batch.Steps)
	}
}

// What is no complaint makes nobody a suspect.
func TestOtherLinesMakeNoSuspects(t *testing.T) {
	l := newLoud([]string{"eth0: renamed from veth1"}, func(*loud) bool { return true })
	if found, aside := listen(t, l); len(found) != 0 || aside != nil {
		t.Errorf("%d findings, unconfirmed %v", len(found), aside)
	}
}
