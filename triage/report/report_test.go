package report

import (
	"bytes"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/corpus/pcap"
	"github.com/bpffuzz/bpffuzz/triage"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// arp is an ARP request of 42 bytes.
func arp() []byte {
	b := append(bytes.Repeat([]byte{0xff}, 6), 2, 0, 0, 0, 0, 1, 8, 6)
	return append(b, 0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2)
}

func simple() *triage.Finding {
	out := arp()
	out[21] = 2
	out[0], out[1] = 1, 2
	in := &corpus.Input{Steps: []corpus.Step{{Packet: arp()}}}
	original := in.Clone()
	original.Steps = append(original.Steps, corpus.Step{Packet: make([]byte, 60)})
	edge := func(kind cover.Kind, from, to int) cover.Edge {
		return cover.Edge{
			Func: "xdp_arp", Kind: kind, From: from, To: to,
			FromPos: cover.Pos{File: "arp.c", Line: from}, ToPos: cover.Pos{File: "arp.c", Line: to, Column: 3},
		}
	}
	entry := edge(cover.Entry, -1, 12)
	entry.FromPos = cover.Pos{}
	return &triage.Finding{
		Key: "reply-xdp_arp-0123abcd", Oracle: "reply", Title: "step 0: out.arp.op == 2 does not hold",
		Program: "xdp_arp", Type: "xdp", Input: in, Original: original,
		Steps: []triage.StepSummary{{
			Ret: 3, Verdict: "XDP_TX", Packet: out, Changed: []corpus.Bounds{{Min: 0, Max: 1}, {Min: 21, Max: 21}},
		}},
		Path:        []cover.Edge{entry, edge(cover.Taken, 14, 20), edge(cover.Taken, 14, 20), edge(cover.FallThrough, 22, 23)},
		Reliability: 9, Runs: 10, Executions: 431, Count: 1,
		Notes: []string{"it fails in 9 of 10 runs from the initial state"},
		Study: opcode(in),
	}
}

// opcode is a study that found the ARP header's operation to matter, and a byte behind.
func opcode(in *corpus.Input) *triage.Study {
	op := triage.Part{Name: "arp.ar_op", Bit: 8 * 20, Bits: 16, Big: true, Value: 1, Matters: true}
	other := in.Clone()
	other.Steps[0].Packet[21] = 0
	return &triage.Study{
		Parts: []triage.Part{
			{Name: "ethernet.h_dest", Bits: 48, Big: true, Value: 0xffffffffffff},
			op,
			{Name: "arp.ar_sip", Bit: 8 * 28, Bits: 32, Big: true, Value: 0x0a000001, Matters: true, Passes: 0x0a000000},
		},
		Nearest: &triage.Change{Part: op, Input: other, Steps: []triage.StepSummary{{Ret: 2, Verdict: "XDP_PASS", Packet: other.Steps[0].Packet}}},
		Execs:   99,
	}
}

func sequence() *triage.Finding {
	long := append(arp(), make([]byte, 4)...)
	in := &corpus.Input{
		Maps: []corpus.MapEntry{{Map: "flows", Key: []byte{1, 2}, Value: []byte{3, 4, 5}}},
		Steps: []corpus.Step{
			{Packet: arp(), Meta: []byte{1, 2, 3, 4}, Context: make([]byte, 8), Chance: []byte{9}, CPU: 1, Flags: 4, Fault: 2},
			{Packet: arp(), Fault: 13},
			{Packet: arp()},
			{Packet: arp()},
		},
	}
	return &triage.Finding{
		Key: "errno-ct-89abcdef", Oracle: "errno", Title: "BPF_PROG_RUN answered 14 (bad address) to step 2",
		Program: "ct", Type: "sched_cls", Input: in, Original: in,
		Steps: []triage.StepSummary{
			{
				Ret: 0xffffffff, Packet: long, Context: []byte{1},
				Faulted: &corpus.FaultSite{Helper: "bpf_skb_change_tail", Error: "an error", Pos: cover.Pos{File: "src/ct.c", Line: 31}},
			},
			{Ret: 0, Verdict: "TC_ACT_OK", Packet: arp()},
			{Errno: syscall.EFAULT},
		},
		Reliability: 10, Runs: 10, Executions: 50,
	}
}

// payload is of a program that runs by events, with what an application sends.
func payload() *triage.Finding {
	context := make([]byte, 64)
	context[8] = 3
	in := &corpus.Input{Steps: []corpus.Step{
		{Packet: []byte("RQ\x02\x00GET / HTTP/1.1"), Context: context},
		{Packet: []byte("RQ\x01"), Context: make([]byte, 64)},
		{Packet: []byte("RQ\x03")},
	}}
	return &triage.Finding{
		Key: "verdict-route-1aefaf9e", Oracle: "verdict", Title: "step 0 returned 5 (0x5), which is no verdict of sk_msg",
		Program: "route", Type: "sk_msg", Payload: true, Input: in, Original: in,
		Steps: []triage.StepSummary{
			{
				Ret: 5, Given: []triage.FieldValue{{Name: "pieces", Value: 3}},
				Gave: []triage.FieldValue{{Name: "errno", Value: 13}, {Name: "runs", Value: 1}},
			},
			{Errno: syscall.ENODATA, Gave: []triage.FieldValue{{Name: "errno", Value: 98}}},
			{Ret: 1, Verdict: "SK_PASS", Packet: []byte("RQ\x04"), Changed: []corpus.Bounds{{Min: 2, Max: 2}}},
		},
		Events:      []corpus.Event{{Source: "trace", Text: "a request of 17 bytes"}},
		Reliability: 10, Runs: 10, Executions: 36,
	}
}

func TestGolden(t *testing.T) {
	opts := Options{
		Command: "bpffuzz replay -p prog prog.o FINDING",
		Path:    func(key string) string { return "out dir/findings/" + key },
	}
	for name, f := range map[string]*triage.Finding{"simple": simple(), "sequence": sequence(), "payload": payload()} {
		files, err := Render(f, opts)
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"input.pcap", "original", "report.html", "report.json", "report.md", "report.txt"}
		if !f.Payload {
			want = append(want, "repro.py")
		}
		if got := slices.Sorted(maps.Keys(files)); !slices.Equal(got, want) {
			t.Errorf("files %q", got)
		}
		for _, file := range []string{"report.txt", "report.json", "report.md", "report.html"} {
			golden := filepath.Join("testdata", name+"."+file)
			if *update {
				if err := os.WriteFile(golden, files[file], 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(files[file], want) {
				t.Errorf("%s differs, run the test with -update and look at the difference:\n%s", golden, files[file])
			}
		}
	}
}

func TestRenderedFilesCanBeRead(t *testing.T) {
	f := sequence()
	files, err := Render(f, Options{})
	if err != nil {
		t.Fatal(err)
	}
	seeds, err := pcap.Read(bytes.NewReader(files["input.pcap"]), pcap.Options{})
	if err != nil || len(seeds.Inputs) != 4 || !bytes.Equal(seeds.Inputs[0].Steps[0].Packet, arp()) {
		t.Errorf("capture: %+v, error %v", seeds, err)
	}
	original, err := corpus.UnmarshalFile(files["original"])
	if err != nil || !original.Equal(f.Original) {
		t.Errorf("original: %+v, error %v", original, err)
	}
	var d document
	if err := json.Unmarshal(files["report.json"], &d); err != nil || d.Command != "" || len(d.Steps) != 4 {
		t.Errorf("document: %+v, error %v", d, err)
	}
}

func TestNoPacketsNoCapture(t *testing.T) {
	f := &triage.Finding{Key: "k", Input: &corpus.Input{Steps: []corpus.Step{{Context: []byte{1}}}}}
	files, err := Render(f, Options{})
	if err != nil || files["input.pcap"] != nil || files["report.txt"] == nil {
		t.Errorf("files %q, error %v", slices.Sorted(maps.Keys(files)), err)
	}
}

func TestLongPathsAreCut(t *testing.T) {
	f := simple()
	f.Path = nil
	for i := range maxPath + 20 {
		f.Path = append(f.Path, cover.Edge{Func: "f", From: i, To: i + 1})
	}
	text := Text(f, Options{})
	if !strings.Contains(text, "(20 edges before these)") || strings.Count(text, "f: ")+strings.Count(text, "f:") < maxPath {
		t.Errorf("path:\n%s", text[strings.Index(text, "\npath"):])
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{
		"out/findings/a-1": "out/findings/a-1", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$x": "'$x'", "a;b": "'a;b'", "a$b": "'a$b'",
	} {
		if got := ShellWord(in); got != want {
			t.Errorf("%q gives %s, want %s", in, got, want)
		}
	}
}
