package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/corpus/pcap"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf"
	"github.com/bpffuzz/bpffuzz/triage"
	"github.com/bpffuzz/bpffuzz/triage/report"
)

// replayed is what an input did, as replay --json shows it.
type replayed struct {
	Name    string         `json:"name"`
	Steps   []replayedStep `json:"steps"`
	Oracles []opinion      `json:"oracles"`
	Runs    int            `json:"runs"`
	// Events are what the kernel and the program said, "SOURCE: TEXT".
	Events []string `json:"events,omitempty"`
	// Profile is there with --profile: what the processor counts in one run of the last
	// step, by the program as it is.
	Profile []profileLine `json:"profile,omitempty"`
}

// replayedStep is a step and what it gave. Bytes are hexadecimal digits.
type replayedStep struct {
	Ret      uint32            `json:"ret"`
	Verdict  string            `json:"verdict,omitempty"`
	Errno    int               `json:"errno"`
	Duration uint32            `json:"duration_ns"`
	In       string            `json:"packet_in"`
	Out      string            `json:"packet_out"`
	Changes  []change          `json:"changes"`
	Context  map[string]uint64 `json:"context,omitempty"`
	// Lines are source lines, "file.c:12", in the order in which the step passed them
	// last. Where there is no trace they have the object's order, Ordered is false,
	// and those of earlier steps are among them.
	Lines   []string `json:"lines"`
	Ordered bool     `json:"lines_ordered"`
	// Insns is how many instructions the step executed, and Costs where the steps up to
	// it executed most; they are there with --insns.
	Insns *uint64  `json:"insns,omitempty"`
	Costs []string `json:"costs,omitempty"`
	// Fault is the call that the input makes fail, nil where it does not ask for that.
	Fault *replayedFault `json:"fault,omitempty"`

	errno   string
	in, out []byte
	given   []contextValue // fields of the context that the input sets, those that are not 0
	// contextGiven is set where the input has a context, if only one of zeros.
	contextGiven bool
	context      []contextValue
	metaIn       int
	metaOut      int
	form         pcap.Form
	noResult     bool // the type gives no packet back
	timed        bool // Duration is known
	sameLayers   bool
	otherLayers  [2]string // before and after, where they differ
}

// replayedFault is a call that an input makes fail.
type replayedFault struct {
	// Call counts the fallible calls of the step, from 1 on.
	Call uint32 `json:"call"`
	// Helper was called at At, "file.c:12", and answered Error. They are empty where the step
	// makes fewer calls, and At where the object has no lines.
	Helper string `json:"helper,omitempty"`
	At     string `json:"at,omitempty"`
	Error  string `json:"error,omitempty"`

	text string
}

// newReplayedFault returns nil where the step asks for no fault, or none can be had.
func newReplayedFault(shape *corpus.Shape, n, faulted uint32) *replayedFault {
	if n == 0 || len(shape.Faults) == 0 {
		return nil
	}
	f := &replayedFault{Call: n, text: report.FaultText(n, nil)}
	if i := int(faulted); i > 0 && i <= len(shape.Faults) {
		site := &shape.Faults[i-1]
		f.Helper, f.At, f.Error, f.text = site.Helper, site.Pos.String(), site.Error, report.FaultText(n, site)
	}
	return f
}

type contextValue struct {
	name  string
	value uint64
}

// opinion is what an oracle or an invariant says.
type opinion struct {
	Name string `json:"name"`
	// Failing is in how many of the runs it objects, Reason the first one.
	Failing int    `json:"failing"`
	Reason  string `json:"reason,omitempty"`
}

func (r *replayed) failing() bool {
	for _, o := range r.Oracles {
		if o.Failing > 0 {
			return true
		}
	}
	return false
}

// replayer runs inputs and describes what they do.
type replayer struct {
	subject *subject
	player  *player
	repeat  int
	insns   bool     // are counted
	events  []string // of the last run
}

func (r *replayer) replay(ctx context.Context, one named) (result *replayed, err error) {
	result = &replayed{Name: one.name, Runs: r.repeat}
	for n := range one.in.Steps {
		step, err := r.last(ctx, &corpus.Input{Maps: one.in.Maps, Steps: one.in.Steps[:n+1]})
		if err != nil {
			return nil, err
		}
		result.Steps = append(result.Steps, step)
	}
	result.Events = r.events
	result.Oracles, err = r.opinions(ctx, one.in)
	return result, err
}

// last runs an input and describes its last step.
func (r *replayer) last(ctx context.Context, in *corpus.Input) (s replayedStep, err error) {
	if err := r.player.recreate(ctx); err != nil {
		return s, err
	}
	want := corpus.HaveRet | corpus.HavePacket | corpus.HaveContext | corpus.HaveDuration | corpus.HaveCover | corpus.HaveTrace
	if r.insns {
		want |= corpus.HaveInsns
	}
	out, err := r.player.rerun(ctx, in, want)
	if err != nil {
		return s, err
	}
	n := len(in.Steps) - 1
	s = r.step(&in.Steps[n], &out.Steps[n])
	s.timed = out.Have&corpus.HaveDuration != 0
	if out.Have&corpus.HaveInsns != 0 {
		s.Insns = new(out.Steps[n].Insns)
		for i := range out.Lines {
			s.Costs = append(s.Costs, out.Lines[i].String())
		}
	}
	s.Lines, s.Ordered = linesPassed(r.subject.target, out)
	r.events = nil
	for _, e := range out.Events {
		r.events = append(r.events, e.Source+": "+e.Text)
	}
	return s, nil
}

// opinions asks oracles and relations one by one, so that each is heard.
func (r *replayer) opinions(ctx context.Context, in *corpus.Input) ([]opinion, error) {
	var all []opinion
	var judges []*triage.Judge
	for _, o := range r.subject.oracles {
		all = append(all, opinion{Name: o.Name})
		judges = append(judges, triage.NewJudge([]triage.Oracle{o}, nil))
	}
	for _, rel := range r.subject.relations {
		all = append(all, opinion{Name: rel.Name})
		judges = append(judges, triage.NewJudge(nil, []triage.Relation{rel}))
	}
	for range r.repeat {
		for i, judge := range judges {
			if err := r.player.recreate(ctx); err != nil {
				return nil, err
			}
			failure, err := judge.Sampled(ctx, r.player.rerun, in)
			if err != nil {
				return nil, err
			}
			if failure == nil {
				continue
			}
			if all[i].Failing++; all[i].Reason == "" {
				all[i].Reason = failure.Error()
			}
		}
	}
	return all, nil
}

func (r *replayer) step(in *corpus.Step, out *corpus.StepOutcome) replayedStep {
	shape := r.subject.target.Shape()
	s := replayedStep{
		Ret: out.Ret, Errno: int(out.Errno), Duration: out.Duration, errno: out.Errno.Error(),
		in: bytes.Clone(in.Packet), out: bytes.Clone(out.Packet), metaIn: len(in.Meta),
		In: hex.EncodeToString(in.Packet), Out: hex.EncodeToString(out.Packet), Changes: []change{},
		given: contextValues(shape.Context, in.Context), form: pcap.FormOf(shape), noResult: shape.NoResult,
		contextGiven: len(in.Context) > 0, Fault: newReplayedFault(shape, in.Fault, out.Faulted),
	}
	s.context = contextValues(shape.Output, out.Context)
	if out.Errno != 0 {
		return s
	}
	s.Verdict = shape.VerdictName(out.Ret)
	s.Context = map[string]uint64{}
	for _, v := range s.context {
		s.Context[v.name] = v.value
		if v.name == "data" && shape.Meta.Max > 0 {
			s.metaOut = int(min(v.value, uint64(len(s.out))))
		}
	}
	if s.form == pcap.Frames {
		s.Changes, s.otherLayers, s.sameLayers = compare(s.in, s.out[s.metaOut:])
	}
	return s
}

// contextValues returns the fields that are other than zero.
func contextValues(fields []corpus.Field, context []byte) []contextValue {
	var values []contextValue
	for i := range fields {
		f := &fields[i]
		if f.Offset+f.Size > len(context) {
			continue
		}
		if v := integer(context[f.Offset:f.Offset+f.Size], f.Big); v != 0 {
			values = append(values, contextValue{f.Name, v})
		}
	}
	return values
}

func integer(b []byte, big bool) uint64 {
	var wide [8]byte
	if big || binary.NativeEndian.Uint16([]byte{0, 1}) == 1 {
		copy(wide[8-len(b):], b)
		return binary.BigEndian.Uint64(wide[:])
	}
	copy(wide[:], b)
	return binary.LittleEndian.Uint64(wide[:])
}

// linesPassed lists where the edges of the last step lead, neighbours that are the same
// once. A step begins with the entry of the program.
func linesPassed(target *bpf.Target, out *corpus.Outcome) (places []string, ordered bool) {
	table := target.Table()
	places = []string{}
	add := func(e *cover.Edge) {
		if p := e.ToPos.String(); p != "" && (len(places) == 0 || places[len(places)-1] != p) {
			places = append(places, p)
		}
	}
	if out.Have&corpus.HaveTrace == 0 {
		for i, hit := range table.Expand(nil, out.Cover) {
			if hit {
				add(&table.Edges[i])
			}
		}
		return places, false
	}
	for _, i := range out.Trace {
		e := &table.Edges[i]
		if e.Kind == cover.Entry && e.Func == target.Shape().Program {
			places = places[:0]
		}
		add(e)
	}
	return places, true
}
