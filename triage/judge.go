package triage

import (
	"bytes"
	"context"
	"slices"

	"github.com/bpffuzz/bpffuzz/corpus"
)

// Failure is what an oracle or a relation objected to.
type Failure struct {
	// Oracle is the name of the oracle or relation.
	Oracle string
	// Err says what is wrong, in one line.
	Err error
}

func (f *Failure) Error() string { return f.Err.Error() }

func (f *Failure) Unwrap() error { return f.Err }

// Judge asks oracles and relations. It is immutable and safe for concurrent use,
// as far as they are. A nil Judge objects to nothing.
type Judge struct {
	oracles   []Oracle
	relations []Relation
	every     []Oracle // those that judge each execution
	gate      gate     // for those of them that need not be asked each time
	rest      []Oracle // the others of them
	need      corpus.Have
}

// NewJudge returns a judge that asks oracles, then relations, in the given order.
func NewJudge(oracles []Oracle, relations []Relation) *Judge {
	j := &Judge{oracles: slices.Clone(oracles), relations: slices.Clone(relations)}
	for _, o := range oracles {
		j.need |= o.Need
		if o.When == Every {
			j.every = append(j.every, o)
			if !o.gated() {
				j.rest = append(j.rest, o)
			}
		}
	}
	j.gate = newGate(j.every)
	for _, r := range relations {
		j.need |= r.Need
	}
	return j
}

// Need returns what oracles and relations read between them.
func (j *Judge) Need() corpus.Have {
	if j == nil {
		return 0
	}
	return j.need
}

// EveryNeeds returns what the oracles that judge each execution read between them.
func (j *Judge) EveryNeeds() (need corpus.Have) {
	if j == nil {
		return 0
	}
	for i := range j.every {
		need |= j.every[i].Need
	}
	return need
}

// EveryNeeding names the oracles that judge each execution and read any of have.
func (j *Judge) EveryNeeding(have corpus.Have) (names []string) {
	if j == nil {
		return nil
	}
	for i := range j.every {
		if j.every[i].Need&have != 0 {
			names = append(names, j.every[i].Name)
		}
	}
	return names
}

// Names lists oracles, then relations.
func (j *Judge) Names() []string {
	if j == nil {
		return nil
	}
	var names []string
	for _, o := range j.oracles {
		names = append(names, o.Name)
	}
	for _, r := range j.relations {
		names = append(names, r.Name)
	}
	return names
}

// Every returns what the first oracle objects to, of those that judge every
// execution and whose needs out has; nil when none does. It does not allocate
// then.
func (j *Judge) Every(in *corpus.Input, out *corpus.Outcome) *Failure {
	if j == nil {
		return nil
	}
	ask := j.every
	if j.gate.passes(in, out) {
		ask = j.rest
	}
	for i := range ask {
		o := &ask[i]
		if o.Need&^out.Have != 0 {
			continue
		}
		if err := o.Judge(in, out); err != nil {
			return &Failure{Oracle: o.Name, Err: err}
		}
	}
	return nil
}

// Sampled runs in alone and returns what the first oracle or relation objects to,
// those of every execution included. The error is one of rerun's.
func (j *Judge) Sampled(ctx context.Context, rerun Rerun, in *corpus.Input) (*Failure, error) {
	if j == nil || len(j.oracles)+len(j.relations) == 0 {
		return nil, nil
	}
	v, err := j.hear(ctx, rerun, in, 0, "")
	if err != nil || len(v.failures) == 0 {
		return nil, err
	}
	return v.failures[0], nil
}

// verdicts is what a run alone gave. The outcome belongs to the judge; it is there
// when something failed and more than needed was to be recorded.
type verdicts struct {
	failures []*Failure
	out      *corpus.Outcome
}

// hear runs in alone, with extra recorded besides what is needed, and asks the
// oracle or relation of the given name; all of them for "".
func (j *Judge) hear(ctx context.Context, rerun Rerun, in *corpus.Input, extra corpus.Have, name string) (*verdicts, error) {
	first, err := rerun(ctx, in, j.needOf(name)|extra)
	if err != nil {
		return nil, err
	}
	v := &verdicts{}
	for i := range j.oracles {
		o := &j.oracles[i]
		if name != "" && name != o.Name {
			continue
		}
		if err := o.Judge(in, first); err != nil {
			v.failures = append(v.failures, &Failure{Oracle: o.Name, Err: err})
		}
	}
	if failing := len(v.failures) > 0; failing && extra == 0 || !failing && !j.relates(name) {
		return v, nil // nobody asks further
	}
	v.out = copyOutcome(first)
	return v, j.relate(ctx, rerun, in, v, name)
}

// relates reports whether there is a relation of the given name, any for "".
func (j *Judge) relates(name string) bool {
	return slices.ContainsFunc(j.relations, func(r Relation) bool { return name == "" || name == r.Name })
}

// relate asks relations: in again, or its twin.
func (j *Judge) relate(ctx context.Context, rerun Rerun, in *corpus.Input, v *verdicts, name string) error {
	p := pairs{rerun: rerun, in: in, need: j.needOf(name), first: v.out, bases: map[uint32]*corpus.Outcome{0: v.out}}
	for i := range j.relations {
		r := &j.relations[i]
		if name != "" && name != r.Name {
			continue
		}
		objection, err := p.objection(ctx, r)
		if err != nil {
			return err
		}
		if objection != nil {
			v.failures = append(v.failures, &Failure{Oracle: r.Name, Err: objection})
		}
	}
	return nil
}

// needOf returns the needs of one oracle or relation, of all for "".
func (j *Judge) needOf(name string) corpus.Have {
	if name == "" {
		return j.need
	}
	var need corpus.Have
	for i := range j.oracles {
		if j.oracles[i].Name == name {
			need |= j.oracles[i].Need
		}
	}
	for i := range j.relations {
		if j.relations[i].Name == name {
			need |= j.relations[i].Need
		}
	}
	return need
}

// copyOutcome keeps what the executor takes back with its next run. Maps cannot
// be kept.
func copyOutcome(out *corpus.Outcome) *corpus.Outcome {
	kept := *out
	kept.Maps = nil
	kept.Have &^= corpus.HaveMaps
	kept.Steps = slices.Clone(out.Steps)
	for i := range kept.Steps {
		kept.Steps[i].Packet = bytes.Clone(out.Steps[i].Packet)
		kept.Steps[i].Context = bytes.Clone(out.Steps[i].Context)
	}
	kept.Events = slices.Clone(out.Events)
	kept.Cover = bytes.Clone(out.Cover)
	kept.Trace = slices.Clone(out.Trace)
	kept.Lines = slices.Clone(out.Lines)
	kept.Fill = slices.Clone(out.Fill)
	return &kept
}
