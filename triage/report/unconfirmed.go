package report

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

// failingFile is the corpus file with the input that failed, without what ran
// before it.
const failingFile = "failing"

// UnconfirmedRenderer returns a function for triage.OpenAside: it gives report.txt,
// report.json and the failing input as a corpus file.
func UnconfirmedRenderer(opts Options) func(*triage.Unconfirmed) (map[string][]byte, error) {
	return func(u *triage.Unconfirmed) (map[string][]byte, error) {
		b, err := UnconfirmedJSON(u, opts)
		if err != nil {
			return nil, fmt.Errorf("writing unconfirmed failure %s as JSON: %w", u.Key(), err)
		}
		return map[string][]byte{
			"report.txt": []byte(UnconfirmedText(u, opts)), "report.json": b,
			failingFile: corpus.MarshalFile(u.Failing),
		}, nil
	}
}

// UnconfirmedText returns an unconfirmed failure for people: what was wrong, what is
// kept of it, and how to look again.
func UnconfirmedText(u *triage.Unconfirmed, opts Options) string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %s\n\n", u.Oracle, u.Title)
	s.WriteString("unconfirmed: it failed while fuzzing, and not again from the initial state\n\n")
	fmt.Fprintf(&s, "key          %s\n", u.Key())
	fmt.Fprintf(&s, "program      %s (%s)\n", u.Program, u.Type)
	fmt.Fprintf(&s, "failing      %s\n", inputSize(u.Failing))
	fmt.Fprintf(&s, "input        %s: the failing input and what ran on the same state before it\n", inputSize(u.Batch))
	if command := opts.commandOf(u.Key()); command != "" {
		fmt.Fprintf(&s, "\nreplay all of it with\n\n    %s\n", command)
	}
	writeNotes(&s, u.Notes)
	writeMaps(&s, u.Failing.Maps, nil)
	for i := range u.Failing.Steps {
		fmt.Fprintf(&s, "\nfailing input, step %d\n", i)
		writeInput(&s, &u.Failing.Steps[i], nil, form(u.Payload))
	}
	return s.String()
}

// unconfirmedDocument is report.json of an unconfirmed failure. Bytes are written in
// hexadecimal digits.
type unconfirmedDocument struct {
	Version   int    `json:"version"`
	Key       string `json:"key"`
	Confirmed bool   `json:"confirmed"`
	Kind      string `json:"kind"`
	Title     string `json:"title"`
	Program   string `json:"program"`
	Type      string `json:"type"`
	Command   string `json:"command,omitempty"`
	// BatchSteps is how many steps the file "input" has.
	BatchSteps int      `json:"batch_steps"`
	Maps       []entry  `json:"maps,omitempty"`
	Failing    []given  `json:"failing"`
	Notes      []string `json:"notes,omitempty"`
}

// given is a step of an input.
type given struct {
	Packet  string `json:"packet"`
	Meta    string `json:"meta,omitempty"`
	Context string `json:"context,omitempty"`
	Chance  string `json:"chance,omitempty"`
	CPU     int32  `json:"cpu,omitempty"`
	Flags   uint32 `json:"flags,omitempty"`
	Fault   uint32 `json:"fault,omitempty"`
}

// UnconfirmedJSON returns an unconfirmed failure as one indented JSON object.
func UnconfirmedJSON(u *triage.Unconfirmed, opts Options) ([]byte, error) {
	d := unconfirmedDocument{
		Version: jsonVersion, Key: u.Key(), Kind: u.Oracle, Title: u.Title, Program: u.Program, Type: u.Type,
		Command: opts.commandOf(u.Key()), BatchSteps: len(u.Batch.Steps), Failing: []given{}, Notes: u.Notes,
	}
	for _, e := range u.Failing.Maps {
		d.Maps = append(d.Maps, entry{Map: e.Map, Key: hex.EncodeToString(e.Key), Value: hex.EncodeToString(e.Value)})
	}
	for i := range u.Failing.Steps {
		in := &u.Failing.Steps[i]
		d.Failing = append(d.Failing, given{
			Packet: hex.EncodeToString(in.Packet), Meta: hex.EncodeToString(in.Meta),
			Context: hex.EncodeToString(in.Context), Chance: hex.EncodeToString(in.Chance),
			CPU: in.CPU, Flags: in.Flags, Fault: in.Fault,
		})
	}
	b, err := json.MarshalIndent(d, "", "  ")
	return append(b, '\n'), err
}
