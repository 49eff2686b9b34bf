package bpf

import (
	"slices"
	"strings"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// openSession opens the puzzle whose goal takes an entry of a map and a value of
// another one, both of which only inputs can give.
func openSession(t *testing.T, bounds MapBounds) (*Target, error) {
	t.Helper()
	needKernel(t)
	obj, err := Open("../../examples/puzzles/session/session.o")
	if err != nil {
		t.Fatal(err)
	}
	return NewTarget(obj, Options{Setup: Setup{FuzzMaps: bounds}})
}

func runSession(t *testing.T, target *Target, seed, execs uint64) *fuzz.Result {
	t.Helper()
	oracles, relations, err := triage.Oracles(target.Shape(), triage.OracleOptions{})
	if err != nil {
		t.Fatal(err)
	}
	result, err := fuzz.Run(t.Context(), target, fuzz.Options{
		Seed: seed, Execs: execs, StopOnFinding: true, Judge: triage.NewJudge(oracles, relations),
		Triage: triage.Options{Program: "session", Table: target.Table(), Shape: target.Shape()},
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// sessionFile is the target file of the puzzle.
const sessionFile = "../../examples/puzzles/session/target.yaml"

// TestFuzzedMapsReachTheGoal needs values in two maps, none of which a packet can
// bring: the finding carries them, and replays with them only.
func TestFuzzedMapsReachTheGoal(t *testing.T) {
	file, err := ReadTargetFile(sessionFile)
	if err != nil {
		t.Fatal(err)
	}
	target, err := openSession(t, file.FuzzMaps)
	if err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(3) {
		result := runSession(t, target, seed, 5000)
		if len(result.Findings) != 1 {
			t.Errorf("seed %d: %d findings after %d executions", seed, len(result.Findings), result.Stats.Execs)
			continue
		}
		f := result.Findings[0]
		if len(f.Input.Maps) != 2 || len(f.Entries) != 2 || target.Shape().Check(f.Input) != nil {
			t.Errorf("seed %d: map entries %v, by field %v", seed, f.Input.Maps, f.Entries)
		}
		if text := report.Body(f); !strings.Contains(text, "value: state 2, window 1, cookie 1592598101\n") {
			t.Errorf("seed %d: the report does not show the fields:\n%s", seed, text)
		}
		isolated(t, func() { replaySession(t, target, f.Input) })
	}
}

// replaySession runs an input with its map entries, without, and with them again.
func replaySession(t *testing.T, target *Target, in *corpus.Input) {
	e, err := target.NewExecutor(0)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	empty := in.Clone()
	empty.Maps = nil
	for _, tt := range []struct {
		in   *corpus.Input
		want uint32
	}{{in, 99}, {empty, 1}, {in, 99}} {
		out, err := e.Alone(t.Context(), tt.in, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := out.Steps[0].Ret; got != tt.want {
			t.Errorf("with %d map entries the program returns %d, want %d", len(tt.in.Maps), got, tt.want)
		}
	}
}

// TestWithoutFuzzedMapsTheGoalIsOutOfReach is the same program as it was.
func TestWithoutFuzzedMapsTheGoalIsOutOfReach(t *testing.T) {
	target, err := openSession(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if result := runSession(t, target, 0, 20_000); len(result.Findings) != 0 {
		t.Errorf("findings: %v", result.Findings)
	}
}

func TestFuzzMapsErrors(t *testing.T) {
	needKernel(t)
	tests := []struct{ name, text, want string }{
		{"unknown key", "  sessions: {entrys: 1}", `t.yaml:2: fuzz_maps.sessions: unknown key "entrys"; did you mean entries?`},
		{"no entries", "  sessions: {entries: 0}", "t.yaml:2: fuzz_maps.sessions.entries: takes a number from 1 to 64; leave the map out instead"},
		{"unknown map", "  session: {entries: 1}", `t.yaml:2: fuzz_maps: the program uses no map "session"; did you mean sessions?`},
		{"too many", "  policies: {entries: 2}", "t.yaml:2: fuzz_maps.policies.entries: takes a number from 1 to 1, which the map has room for"},
		{"unknown field", "  sessions:\n    key: {prot: 6}", `t.yaml:3: fuzz_maps.sessions.key: has no field "prot" that an input may choose; did you mean proto?`},
		{"too large", "  sessions:\n    key:\n      proto: [6, 300]", "t.yaml:4: fuzz_maps.sessions.key.proto: 300 does not fit 1 byte (0 to 255)"},
		{"swapped", "  sessions:\n    value: {state: {min: 3, max: 1}}", "t.yaml:3: fuzz_maps.sessions.value.state: min 3 is more than max 1 (bounds are without sign): swap them, or list the values"},
		{"no value left", "  sessions:\n    value: {state: []}", "t.yaml:3: fuzz_maps.sessions.value.state: an empty list leaves no value that is legal"},
		{"no bounds", "  sessions:\n    value: {state: {from: 1}}", "t.yaml:3: fuzz_maps.sessions.value.state: takes {min: ..., max: ...}, a value, or a list of values"},
		{"unknown constant", "  sessions:\n    value: {state: STATE_OPENED}", `t.yaml:3: fuzz_maps.sessions.value.state: enum state has no constant "STATE_OPENED"; did you mean STATE_OPEN?`},
		{"key without choice", "  policies:\n    key: 1", "t.yaml:3: fuzz_maps.policies.key: takes bounds by field, as {state: {min: 0, max: 5}}; there are none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file, err := ParseTargetFile("t.yaml", []byte("fuzz_maps:\n"+tt.text+"\n"))
			if err == nil {
				_, err = openSession(t, file.FuzzMaps)
			}
			if err == nil || err.Error() != tt.want {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestFuzzMapsBounds(t *testing.T) {
	file, err := ParseTargetFile("t.yaml", []byte(`fuzz_maps:
  sessions:
    key: {proto: [17, 6, 6], addr: 10.0.0.1, port: {min: 1024}}
    value: {state: {min: STATE_NEW, max: 2}, window: {max: 0}}
`))
	if err != nil {
		t.Fatal(err)
	}
	target, err := openSession(t, file.FuzzMaps)
	if err != nil {
		t.Fatal(err)
	}
	f := target.Shape().Fuzzed("sessions")
	if f.Entries != defaultFuzzEntries {
		t.Errorf("%d entries", f.Entries)
	}
	for _, tt := range []struct {
		name       string
		field      corpus.Field
		lo, hi     uint64
		in, legal  uint64
		wantValues []uint64
	}{
		{"proto", f.Key[2], 6, 17, 7, 6, []uint64{6, 17}},
		{"addr", f.Key[0], 0x0a000001, 0x0a000001, 0, 0x0a000001, []uint64{0x0a000001}},
		{"port", f.Key[1], 1024, 0xffff, 80, 1024, nil},
		{"state", f.Value[0], 1, 2, 9, 2, []uint64{1, 2}},
		{"window", f.Value[1], 0, 0xffffffff, 5, 0, []uint64{0}},
		{"cookie", f.Value[2], 0, 0xffffffff, 5, 5, nil},
	} {
		lo, hi := tt.field.Limits()
		if tt.field.Name != tt.name || lo != tt.lo || hi != tt.hi || tt.field.Nearest(tt.in) != tt.legal || !slices.Equal(tt.field.Values, tt.wantValues) {
			t.Errorf("%s: %d to %d, %d becomes %d, in %+v", tt.name, lo, hi, tt.in, tt.field.Nearest(tt.in), tt.field)
		}
	}
}
