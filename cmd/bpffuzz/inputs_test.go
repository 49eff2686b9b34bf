package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/pcap"
	"github.com/bpffuzz/bpffuzz/mutate"
)

func packets(bodies ...string) *corpus.Input {
	in := &corpus.Input{}
	for _, b := range bodies {
		in.Steps = append(in.Steps, corpus.Step{Packet: []byte(b)})
	}
	return in
}

// inputTree makes a directory with one file of each kind.
func inputTree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var capture bytes.Buffer
	if err := pcap.Write(&capture, packets("first captured packet", "second captured packet"), pcap.Frames); err != nil {
		t.Fatal(err)
	}
	for name, contents := range map[string][]byte{
		"all/corpus":         corpus.MarshalFile(packets("one step", "another step")),
		"all/capture.pcap":   capture.Bytes(),
		"all/raw":            []byte("raw packet"),
		"all/.hidden":        []byte("hidden"),
		"all/broken":         []byte(corpus.FileHeader + "\nint(1)\n"),
		"all/sub/raw":        []byte("not read"),
		"finding/input":      corpus.MarshalFile(packets("finding")),
		"finding/report.txt": []byte("not a packet"),
		"lost/input":         []byte("no corpus file"),
	} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, contents, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestReadInputs(t *testing.T) {
	dir := inputTree(t)
	for _, test := range []struct {
		path     string
		want     []string // packets, steps joined by "+"
		warnings int
		err      string
	}{
		{"all/corpus", []string{"one step+another step"}, 0, ""},
		{"all/capture.pcap", []string{"first captured packet", "second captured packet"}, 0, ""},
		{"all/raw", []string{"raw packet"}, 0, ""},
		{"all", []string{"first captured packet", "second captured packet", "one step+another step", "raw packet"}, 1, ""},
		{"finding", []string{"finding"}, 0, ""},
		{"all/broken", nil, 0, "second line"},
		{"lost", nil, 0, "first line is not"},
		{"fifo", nil, 0, "not a regular file"},
		{"missing", nil, 0, "no such file"},
	} {
		t.Run(test.path, func(t *testing.T) {
			warnings := 0
			all, err := readInputs(filepath.Join(dir, test.path), func(error) { warnings++ })
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, one := range all {
				got = append(got, joined(one.in))
			}
			if !slices.Equal(got, test.want) || warnings != test.warnings {
				t.Errorf("inputs %q with %d warnings, want %q with %d", got, warnings, test.want, test.warnings)
			}
		})
	}
}

func joined(in *corpus.Input) string {
	var steps []string
	for i := range in.Steps {
		steps = append(steps, string(in.Steps[i].Packet))
	}
	return strings.Join(steps, "+")
}

func TestAsSequence(t *testing.T) {
	all := []named{{name: "a", in: packets("1", "2")}, {name: "b", in: packets("3")}}
	if got := asSequence("both", all); len(got) != 1 || joined(got[0].in) != "1+2+3" || got[0].name != "both" {
		t.Errorf("sequence %+v", got)
	}
	if got := asSequence("both", all[:1]); len(got) != 1 || got[0].name != "a" {
		t.Errorf("a single input became %+v", got)
	}
}

func testShape() *corpus.Shape {
	return &corpus.Shape{Type: "xdp", Packet: corpus.Bounds{Min: 4, Max: 30}, MaxSteps: 3, ContextSize: 8}
}

func TestConform(t *testing.T) {
	for name, test := range map[string]struct {
		in   *corpus.Input
		want string
		err  string
	}{
		"as it is":       {packets("12345"), "12345", ""},
		"padded":         {packets("12"), "12\x00\x00", ""},
		"too long":       {packets(strings.Repeat("x", 31)), "", "a packet of 31 bytes, xdp takes 4 to 30"},
		"too many steps": {packets("1234", "1234", "1234", "1234"), "", "4 steps, at most 3"},
	} {
		t.Run(name, func(t *testing.T) {
			before := joined(test.in)
			got, err := mutate.Fit(testShape(), test.in)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want one with %q", err, test.err)
				}
				return
			}
			if err != nil || joined(got) != test.want {
				t.Errorf("%q, error %v; want %q", joined(got), err, test.want)
			}
			if joined(test.in) != before {
				t.Error("the caller's input changed")
			}
		})
	}
}

func TestSeedsAlsoAsSequences(t *testing.T) {
	var said strings.Builder
	s := &seeds{u: &ui{stderr: &said}, shape: testShape()}
	s.addAll([]named{{name: "a", in: packets("aaaa")}, {name: "b", in: packets("bbbb")}, {name: "long", in: packets(strings.Repeat("x", 99))}, {name: "c", in: packets("cccc")}, {name: "d", in: packets("dddd")}})
	var got []string
	for _, in := range s.inputs {
		got = append(got, joined(in))
	}
	if want := []string{"aaaa", "bbbb", "cccc", "dddd", "aaaa+bbbb+cccc"}; !slices.Equal(got, want) {
		t.Errorf("seeds %q, want %q", got, want)
	}
	if !strings.HasPrefix(said.String(), "bpffuzz: warning: long is skipped: step 0: a packet of 99 bytes") {
		t.Errorf("said %q", said.String())
	}
}

func TestSeedsWithContexts(t *testing.T) {
	s := &seeds{u: &ui{}, shape: testShape()}
	base := []*corpus.Input{packets("aaaa", "bbbb")}
	s.addContexts(base, [][]byte{[]byte("context1"), []byte("context2")})
	if len(s.inputs) != 2 || string(s.inputs[1].Steps[1].Context) != "context2" || base[0].Steps[0].Context != nil {
		t.Errorf("seeds %+v", s.inputs)
	}
	s.addContexts(nil, [][]byte{[]byte("context1")})
	if len(s.inputs) <= 2 {
		t.Error("without seeds the contexts are lost")
	}
}

// A sequence that was written as one capture comes back as that sequence.
func TestSequenceThroughCapture(t *testing.T) {
	want := packets("syn, from a client", "syn ack, from a server", "ack, from that client", "syn, from a client")
	var capture bytes.Buffer
	if err := pcap.Write(&capture, want, pcap.Frames); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sequence.pcap")
	if err := os.WriteFile(path, capture.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := readInputs(path, func(err error) { t.Error(err) })
	if err != nil || len(all) != len(want.Steps) {
		t.Fatalf("%d inputs, %v", len(all), err)
	}
	if got := asSequence(path, all); len(got) != 1 || !got[0].in.Equal(want) {
		t.Errorf("got %+v", got)
	}
	s := seeds{shape: &corpus.Shape{Packet: corpus.Bounds{Min: 14, Max: 100}, MaxSteps: 4}}
	s.addAll(all)
	if n := len(s.inputs); n != len(want.Steps)+1 || !s.inputs[n-1].Equal(want) {
		t.Errorf("as seeds they are %+v", s.inputs)
	}
}
