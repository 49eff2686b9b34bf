package bpf

import (
	"slices"
	"testing"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

// What a program writes to its error stream is heard of each run alone, once, and of
// batches; what it writes to its output stream is not.
func TestErrorStreamIsHeard(t *testing.T) {
	needBatches(t)
	if why := needsStreams(); why != "" {
		t.Skip(why)
	}
	packet := make([]byte, 60)
	packet[14], packet[23], packet[36], packet[37] = 0x45, 17, 0x35, 9
	in := &corpus.Input{Steps: []corpus.Step{{Packet: packet}}}
	for program, want := range map[string][]corpus.Event{
		"complains":       {{Source: triage.SourceStderr, Text: "port 9"}},
		"complains_clean": nil,
	} {
		obj, err := Open("testdata/oracles_watch.o")
		if err != nil {
			t.Fatal(err)
		}
		target, err := NewTarget(obj, Options{Program: program})
		if err != nil {
			t.Fatal(err)
		}
		isolated(t, func() {
			b := mustBatch(t, target)
			said := func(events []corpus.Event) []corpus.Event { // the log is the machine's
				return slices.DeleteFunc(slices.Clone(events), func(e corpus.Event) bool { return e.Source != triage.SourceStderr })
			}
			for range 2 {
				out, err := b.Alone(t.Context(), in, corpus.HaveEvents)
				if err != nil {
					t.Fatal(err)
				}
				if got := said(out.Events); !slices.Equal(got, want) {
					t.Errorf("%s: alone %q, want %q", program, got, want)
				}
			}
			b.batch.Reset()
			b.batch.Next().CopyFrom(in)
			b.batch.Commit()
			if err := b.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			events, err := b.Heard(nil)
			if got := said(events); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: in a batch %q, want %q (%v)", program, got, want, err)
			}
		})
	}
}
