package fuzz

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/triage"
)

// Sources of the events of a Pair's outcomes, and the names of its oracles: a kind of
// difference each.
const (
	diffVerdict = "diff-verdict"
	diffPacket  = "diff-packet"
	diffContext = "diff-context"
	diffMap     = "diff-map"
)

// maxDiffEntries bounds how many entries of a map are compared.
const maxDiffEntries = 1 << 16

// Differences returns the oracles that object to what a Pair's programs do differently.
// Verdicts and packets are compared in each run, contexts and maps in runs alone.
func Differences() []triage.Oracle {
	oracle := func(name string, need corpus.Have, when triage.Cadence) triage.Oracle {
		return triage.Oracle{Name: name, Need: need, When: when, Judge: func(_ *corpus.Input, out *corpus.Outcome) error {
			for i := range out.Events {
				if out.Events[i].Source == name {
					return errors.New(out.Events[i].Text)
				}
			}
			return nil
		}}
	}
	return []triage.Oracle{
		oracle(diffVerdict, corpus.HaveRet, triage.Every),
		oracle(diffPacket, corpus.HaveRet|corpus.HavePacket, triage.Every),
		oracle(diffContext, corpus.HaveRet|corpus.HaveContext, triage.Sampled),
		oracle(diffMap, corpus.HaveRet|corpus.HaveMaps, triage.Sampled),
	}
}

// KeyLister is a MapView that can list what is in a map.
type KeyLister interface {
	// Keys calls visit with each key of a map, in memory that is valid until it returns,
	// and ends with visit's error. There are none where entries have no keys.
	Keys(name string, visit func(key []byte) error) error
}

// scratch is room for packets without what is ignored.
type scratch struct{ was, now []byte }

// differ adds to was an event for the first difference of each kind. It does not allocate
// where there is none.
func (p *Pair) differ(in *corpus.Input, was, now *corpus.Outcome, have corpus.Have, room *scratch) {
	have &= was.Have & now.Have
	verdicts, packets, contexts := have&corpus.HaveRet != 0 && !p.ignored.verdict,
		have&corpus.HavePacket != 0 && !p.ignored.packet && !p.shape.NoResult,
		have&corpus.HaveContext != 0 && !p.ignored.context
	for i := range was.Steps[:min(len(was.Steps), len(now.Steps))] {
		a, b := &was.Steps[i], &now.Steps[i]
		verdicts = verdicts && !note(was, diffVerdict, i, p.verdicts(a, b))
		packets = packets && !note(was, diffPacket, i, p.packets(&in.Steps[i], a, b, room))
		contexts = contexts && !note(was, diffContext, i, p.contexts(a, b))
	}
}

// note adds what differs after a step, and reports whether anything does.
func note(out *corpus.Outcome, source string, step int, text string) bool {
	if text == "" {
		return false
	}
	out.Events = append(out.Events, corpus.Event{Source: source, Text: fmt.Sprintf("step %d: %s", step, text)})
	return true
}

func (p *Pair) verdicts(a, b *corpus.StepOutcome) string {
	if a.Errno == b.Errno && (a.Errno != 0 || a.Ret == b.Ret) {
		return ""
	}
	return fmt.Sprintf("the old program %s, the new one %s", p.verdict(a), p.verdict(b))
}

func (p *Pair) verdict(o *corpus.StepOutcome) string {
	if o.Errno != 0 {
		return fmt.Sprintf("does not run (%v)", o.Errno)
	}
	if name := p.shape.VerdictName(o.Ret); name != "" {
		return fmt.Sprintf("returns %d (%s)", o.Ret, name)
	}
	return fmt.Sprintf("returns %d", o.Ret)
}

func (p *Pair) packets(in *corpus.Step, a, b *corpus.StepOutcome, room *scratch) string {
	if a.Errno != 0 || b.Errno != 0 || bytes.Equal(a.Packet, b.Packet) {
		return ""
	}
	if len(a.Packet) != len(b.Packet) {
		if p.ignored.length {
			return ""
		}
		return fmt.Sprintf("the old program's packet has %d bytes, the new one's %d", len(a.Packet), len(b.Packet))
	}
	x, y := a.Packet, b.Packet
	if len(p.ignored.headers) > 0 {
		room.was, room.now = p.ignored.without(room.was, x, len(in.Meta)), p.ignored.without(room.now, y, len(in.Meta))
		x, y = room.was, room.now
	}
	for i := range x {
		if x[i] != y[i] {
			return fmt.Sprintf("byte %d of the old program's packet is %#02x%s, of the new one's %#02x", i, a.Packet[i], fieldAt(&p.shape, a.Packet, i, len(in.Meta)), b.Packet[i])
		}
	}
	return ""
}

func (p *Pair) contexts(a, b *corpus.StepOutcome) string {
	if a.Errno != 0 || b.Errno != 0 {
		return ""
	}
	for i := range p.shape.Output {
		f := &p.shape.Output[i]
		end := f.Offset + f.Size
		if p.ignored.fields[f.Name] || end > len(a.Context) || end > len(b.Context) {
			continue
		}
		if x, y := a.Context[f.Offset:end], b.Context[f.Offset:end]; !bytes.Equal(x, y) {
			return fmt.Sprintf("ctx.%s has the bytes % x after the old program, % x after the new one", f.Name, x, y)
		}
	}
	return ""
}

// differInMaps adds to was an event for the first map whose contents differ, or for the first
// global variable.
func (p *Pair) differInMaps(was, now *corpus.Outcome) error {
	if p.ignored.maps || was.Maps == nil || now.Maps == nil {
		return nil
	}
	for i := range p.shape.Maps {
		name := p.shape.Maps[i].Name
		if p.ignored.mapNames[name] || p.shape.Maps[i].Global {
			continue
		}
		text, err := differInMap(name, was.Maps, now.Maps, "the old program", "the new one")
		if text == "" && err == nil {
			text, err = differInMap(name, now.Maps, was.Maps, "the new program", "the old one")
		}
		if err != nil {
			return err
		}
		if text != "" {
			was.Events = append(was.Events, corpus.Event{Source: diffMap, Text: text})
			return nil
		}
	}
	text, err := p.differInGlobals(was.Maps, now.Maps)
	if text != "" {
		was.Events = append(was.Events, corpus.Event{Source: diffMap, Text: text})
	}
	return err
}

// errEnough ends a listing; it never leaves this file.
var errEnough = errors.New("enough entries")

// differInMap looks up what one view has in the other.
func differInMap(name string, a, b corpus.MapView, who, other string) (text string, err error) {
	list, ok := a.(KeyLister)
	if !ok {
		return "", nil
	}
	var x, y []byte
	n := 0
	err = list.Keys(name, func(key []byte) error {
		if n++; n > maxDiffEntries {
			return errEnough
		}
		var inA, inB bool
		var err error
		if x, inA, err = a.Lookup(x[:0], name, key); err != nil || !inA {
			return err
		}
		if y, inB, err = b.Lookup(y[:0], name, key); err != nil {
			return err
		}
		switch {
		case !inB:
			text = fmt.Sprintf("map %s has the key % x after %s, not after %s", name, key, who, other)
		case !bytes.Equal(x, y):
			text = fmt.Sprintf("map %s has under % x the value % x after %s, % x after %s", name, key, short(x), who, short(y), other)
		default:
			return nil
		}
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return text, err
}

// short is as much of a value as is shown.
func short(b []byte) []byte { return b[:min(len(b), 32)] }
