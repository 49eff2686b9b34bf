package bpf

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf/btf"

	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/triage"
)

// packaged returns the objects of Debian's packages xdp-tools and libxdp1.
func packaged(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob("/usr/lib/*/bpf/*.o")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Skip("neither xdp-tools nor libxdp1 is installed")
	}
	return paths
}

// newJudge returns the oracles that are on by default.
func newJudge(t testing.TB, target *Target) *triage.Judge {
	t.Helper()
	oracles, relations, err := triage.Oracles(target.Shape(), triage.OracleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return triage.NewJudge(oracles, relations)
}

// Every program of objects that nobody here wrote is loaded, instrumented in full
// and fuzzed.
func TestPackagedObjectsAreFuzzed(t *testing.T) {
	needKernel(t)
	fuzzed := 0
	for _, path := range packaged(t) {
		obj, err := Open(path)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		for _, p := range obj.Programs() {
			t.Run(filepath.Base(path)+"/"+p.Name, func(t *testing.T) {
				if p.Type != "XDP" && p.Type != "SchedCLS" {
					_, err := NewTarget(obj, Options{Program: p.Name})
					t.Logf("left out, a program of type %s: %v", p.Type, err)
					return
				}
				fuzzPackaged(t, obj, p.Name)
				fuzzed++
			})
		}
	}
	if fuzzed == 0 {
		t.Error("no program was fuzzed")
	}
}

// dispatch does what the loader of the dispatcher does: it calls so many programs as
// its constants say, which are no variables of the object because they are static.
func dispatch(t *testing.T, obj *Object) {
	t.Helper()
	m := obj.spec.Maps[".rodata"]
	for _, v := range m.Value.(*btf.Datasec).Vars {
		conf, ok := btf.UnderlyingType(v.Type.(*btf.Var).Type).(*btf.Struct)
		if !ok || conf.Name != "xdp_dispatcher_config" {
			continue
		}
		data := bytes.Clone(m.Contents[0].Value.([]byte))
		for _, member := range conf.Members {
			at := data[v.Offset+member.Offset.Bytes():]
			switch member.Name {
			case "num_progs_enabled":
				at[0] = 10
			case "chain_call_actions": // go on after any verdict
				for i := range 40 {
					at[i] = 0xff
				}
			}
		}
		m.Contents[0].Value = data
		return
	}
	t.Error("the dispatcher has no constants")
}

func fuzzPackaged(t *testing.T, obj *Object, program string) {
	if program == "xdp_dispatcher" {
		dispatch(t, obj)
	}
	target, err := NewTarget(obj, Options{Program: program})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	if target.Rung() != "full" {
		t.Errorf("instrumented %s", target.Rung())
	}
	const execs = 20_000
	result, err := fuzz.Run(t.Context(), target, fuzz.Options{
		Seed: 1, Execs: execs, Judge: newJudge(t, target),
		Triage: triage.Options{Program: program, Table: target.Table(), Shape: target.Shape()},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := &result.Stats
	t.Logf("%s of %d edges: %d passed, %d entries, %d findings, stability %.2f, %.0f/s; %v",
		target.Rung(), s.Total, s.Edges, s.Corpus, s.Findings, s.Stability, s.Rate(), target.Notes())
	if s.Edges == 0 || s.Edges*10 < s.Total {
		t.Errorf("%d of %d edges were passed", s.Edges, s.Total)
	}
	if s.Execs < execs {
		t.Errorf("%d executions", s.Execs)
	}
	for _, f := range result.Findings {
		t.Errorf("finding %s: %s", f.Key, f.Title)
	}
}
