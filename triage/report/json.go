package report

import (
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/triage"
)

// jsonVersion grows when a member changes its meaning or goes away.
const jsonVersion = 1

// document is report.json. Bytes are written in hexadecimal digits.
type document struct {
	Version     int    `json:"version"`
	Key         string `json:"key"`
	Kind        string `json:"kind"`
	Title       string `json:"title"`
	Program     string `json:"program"`
	Type        string `json:"type"`
	Reliability int    `json:"reliability"`
	Runs        int    `json:"runs"`
	Executions  int    `json:"executions"`
	// Count is how often the failure was met, in all runs that ended in order.
	Count int `json:"count"`
	// Known is set by people who have seen the finding, see SetKnown.
	Known bool `json:"known,omitempty"`
	// Fixed is when it was first seen to be fixed, Regressed when it was first seen to
	// fail again after that, in RFC 3339 and UTC; see SetFixed.
	Fixed      string   `json:"fixed,omitempty"`
	Regressed  string   `json:"regressed,omitempty"`
	Bytes      int      `json:"bytes"`
	FoundBytes int      `json:"found_bytes"`
	Command    string   `json:"command,omitempty"`
	Maps       []entry  `json:"maps,omitempty"`
	Steps      []step   `json:"steps"`
	Events     []event  `json:"events,omitempty"`
	Path       []edge   `json:"path,omitempty"`
	Notes      []string `json:"notes,omitempty"`
	// Matters are the parts of the input with which the failure goes away when they have
	// another value, Nearest is the least such change.
	Matters []part `json:"matters,omitempty"`
	Nearest *part  `json:"nearest,omitempty"`
	// Exports are the files that run the program, and what each can do.
	Exports []exported `json:"exports,omitempty"`
}

// part is a field or a byte of the input. From and To are offsets in bytes of its place,
// To is not included.
type part struct {
	Place  string `json:"place"`
	Index  int    `json:"index"`
	Name   string `json:"name"`
	From   int    `json:"from"`
	To     int    `json:"to"`
	Value  uint64 `json:"value"`
	Passes uint64 `json:"passes"`
}

func jsonPart(p *triage.Part) part {
	from, to := p.Bytes()
	return part{Place: p.Place.String(), Index: p.Index, Name: p.Name, From: from, To: to, Value: p.Value, Passes: p.Passes}
}

// setStudy takes over what a study found out.
func (d *document) setStudy(s *triage.Study) {
	if s == nil {
		return
	}
	for i := range s.Parts {
		if s.Parts[i].Matters {
			d.Matters = append(d.Matters, jsonPart(&s.Parts[i]))
		}
	}
	if s.Nearest != nil {
		p := jsonPart(&s.Nearest.Part)
		d.Nearest = &p
	}
}

// entry is a map entry: its bytes, and where the types of the map are known its fields
// that are not zero.
type entry struct {
	Map         string            `json:"map"`
	Key         string            `json:"key"`
	Value       string            `json:"value"`
	KeyFields   map[string]uint64 `json:"key_fields,omitempty"`
	ValueFields map[string]uint64 `json:"value_fields,omitempty"`
}

// newEntry describes the i-th map entry of a finding.
func newEntry(f *triage.Finding, i int) entry {
	e := &f.Input.Maps[i]
	shown := entry{Map: e.Map, Key: hex.EncodeToString(e.Key), Value: hex.EncodeToString(e.Value)}
	if i < len(f.Entries) {
		shown.KeyFields, shown.ValueFields = byName(f.Entries[i].Key), byName(f.Entries[i].Value)
	}
	return shown
}

// byName returns nil where there are no fields.
func byName(fields []triage.FieldValue) map[string]uint64 {
	var named map[string]uint64
	for _, f := range fields {
		if named == nil {
			named = map[string]uint64{}
		}
		named[f.Name] = f.Value
	}
	return named
}

// step is a step of the input and what it gave; errno 0 means that it ran.
type step struct {
	Packet  string `json:"packet"`
	Meta    string `json:"meta,omitempty"`
	Context string `json:"context,omitempty"`
	Chance  string `json:"chance,omitempty"`
	CPU     int32  `json:"cpu,omitempty"`
	Flags   uint32 `json:"flags,omitempty"`
	Fault   uint32 `json:"fault,omitempty"`
	// Faulted is the call that failed therefore: "bpf_xdp_adjust_head at fw.c:31".
	Faulted string `json:"faulted,omitempty"`

	Ret        uint32 `json:"ret"`
	Verdict    string `json:"verdict,omitempty"`
	Errno      int    `json:"errno"`
	Output     string `json:"output"`
	OutMeta    string `json:"output_meta,omitempty"`
	OutContext string `json:"output_context,omitempty"`
}

type event struct {
	Source string `json:"source"`
	Text   string `json:"text"`
}

type edge struct {
	Func string `json:"func"`
	Kind string `json:"kind"`
	// From and To are offsets in instructions, "from_line" and "to_line" read "file.c:12".
	From     int    `json:"from"`
	To       int    `json:"to"`
	FromLine string `json:"from_line,omitempty"`
	ToLine   string `json:"to_line,omitempty"`
}

// JSON returns a finding as one indented JSON object.
func JSON(f *triage.Finding, opts Options) ([]byte, error) { return jsonOf(f, opts, nil) }

// jsonOf is JSON with what the exports of a recipe can do.
func jsonOf(f *triage.Finding, opts Options, r *Recipe) ([]byte, error) {
	d := document{
		Version: jsonVersion, Key: f.Key, Kind: f.Oracle, Title: f.Title, Program: f.Program, Type: f.Type,
		Reliability: f.Reliability, Runs: f.Runs, Executions: f.Executions, Count: f.Count, Bytes: f.Input.Len(),
		Command: opts.command(f), Steps: []step{}, Path: jsonPath(f.Path), Notes: f.Notes,
		Exports: abilities(r),
	}
	d.setStudy(f.Study)
	if f.Original != nil {
		d.FoundBytes = f.Original.Len()
	}
	for i := range f.Input.Maps {
		d.Maps = append(d.Maps, newEntry(f, i))
	}
	for _, e := range f.Events {
		d.Events = append(d.Events, event(e))
	}
	for i := range f.Input.Steps {
		var summary triage.StepSummary
		if i < len(f.Steps) {
			summary = f.Steps[i]
		}
		d.Steps = append(d.Steps, jsonStep(&f.Input.Steps[i], &summary))
	}
	b, err := json.MarshalIndent(d, "", "  ")
	return append(b, '\n'), err
}

// Recount returns a finding's report.json with more added to its count. What is no
// report of this version is an error.
func Recount(b []byte, more int) ([]byte, error) {
	d, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("counting a finding that was met again: %w", err)
	}
	d.Count = max(d.Count, 1) + more // reports of old have no count
	return d.marshal()
}

// Renew returns a finding's report.json with what a fresh one says of its input and
// exports; how often it was met and what people noted stay.
func Renew(old, fresh []byte) ([]byte, error) {
	d, err := parse(old)
	if err != nil {
		return nil, fmt.Errorf("reading the report of a finding: %w", err)
	}
	f, err := parse(fresh)
	if err != nil {
		return nil, fmt.Errorf("reading the new report of a finding: %w", err)
	}
	d.Command, d.Matters, d.Nearest, d.Exports = f.Command, f.Matters, f.Nearest, f.Exports
	return d.marshal()
}

// parse reads report.json of this version.
func parse(b []byte) (*document, error) {
	var versioned struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(b, &versioned); err != nil {
		return nil, err
	}
	if versioned.Version != jsonVersion {
		return nil, &VersionError{versioned.Version}
	}
	d := &document{}
	return d, json.Unmarshal(b, d)
}

// VersionError says that a report has a version that this package does not read.
type VersionError struct{ Version int }

func (e *VersionError) Error() string {
	return fmt.Sprintf("its report has version %d, %d is known", e.Version, jsonVersion)
}

func (d *document) marshal() ([]byte, error) {
	b, err := json.MarshalIndent(d, "", "  ")
	return append(b, '\n'), err
}

func jsonStep(in *corpus.Step, out *triage.StepSummary) step {
	faulted := ""
	if out.Faulted != nil {
		faulted = out.Faulted.String()
	}
	return step{
		Faulted: faulted,
		Packet:  hex.EncodeToString(in.Packet), Meta: hex.EncodeToString(in.Meta),
		Context: hex.EncodeToString(in.Context), Chance: hex.EncodeToString(in.Chance),
		CPU: in.CPU, Flags: in.Flags, Fault: in.Fault,
		Ret: out.Ret, Verdict: out.Verdict, Errno: int(out.Errno),
		Output: hex.EncodeToString(out.Packet), OutMeta: hex.EncodeToString(out.Meta), OutContext: hex.EncodeToString(out.Context),
	}
}

func jsonPath(path []cover.Edge) (edges []edge) {
	for i := range path {
		e := &path[i]
		edges = append(edges, edge{
			Func: e.Func, Kind: e.Kind.String(), From: e.From, To: e.To,
			FromLine: e.FromPos.String(), ToLine: e.ToPos.String(),
		})
	}
	return edges
}
