package bpf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// packetFields says where the context of programs of a type holds their packet.
func packetFields(typ ebpf.ProgramType) *instrument.PacketFields {
	switch typ {
	case ebpf.XDP:
		return &instrument.PacketFields{Data: 0, End: xdpOffDataEnd, Meta: xdpOffMeta, Len: -1}
	case ebpf.SchedCLS, ebpf.SchedACT, ebpf.SocketFilter, ebpf.CGroupSKB, ebpf.SkSKB,
		ebpf.LWTIn, ebpf.LWTOut, ebpf.LWTXmit, ebpf.LWTSeg6Local:
		return &instrument.PacketFields{Data: 76, End: 80, Meta: 140, Len: 0}
	case ebpf.FlowDissector:
		return &instrument.PacketFields{Data: 76, End: 80, Meta: -1, Len: -1}
	case ebpf.SkMsg:
		return &instrument.PacketFields{Data: 0, End: 8, Meta: -1, Len: 68}
	case ebpf.SkReuseport:
		return &instrument.PacketFields{Data: 0, End: 8, Meta: -1, Len: 16}
	}
	return nil
}

// climbCompare finds out how much of what the program compares can be logged.
func (t *Target) climbCompare() error {
	t.compare = instrument.Step{Rung: instrument.None}
	if len(t.table.Comparisons) == 0 {
		return nil
	}
	for _, step := range instrument.Ladder() {
		if step.Rung < t.step.Rung || step.Rung == instrument.NoLoops || step.Rung == instrument.None {
			continue // the compare variant has no loop counters
		}
		if t.step.Rung != instrument.None && step.Flags&^t.step.Flags&instrument.StateFreq != 0 {
			continue // with extra states the verifier gave up on less code already
		}
		t.compare = step
		inst, err := t.loadOnly(instrument.Compare)
		if err == nil {
			t.explainCompare()
			return inst.Close()
		}
		if _, rejected := errors.AsType[*RejectedError](err); !rejected {
			return err
		}
	}
	t.compare = instrument.Step{Rung: instrument.None}
	t.notes = append(t.notes, "the kernel accepts no code of this program that logs what is compared: wanted values are found by mutation alone")
	return nil
}

func (t *Target) explainCompare() {
	logged := len(t.plan.Layout(t.compare.Rung, instrument.Compare).Operands)
	if all := len(t.table.Comparisons); logged < all {
		t.notes = append(t.notes, fmt.Sprintf("of the program's %d comparisons %d are logged: the others find no room in the code, or the verifier's limits are near", all, logged))
	}
}

// stepOf returns the step of the ladder at which a variant is loaded.
func (t *Target) stepOf(variant instrument.Variant) instrument.Step {
	if variant == instrument.Compare {
		return t.compare
	}
	return t.step
}

// Compare implements fuzz.Comparer.
func (e *executor) Compare(_ context.Context, in *corpus.Input, dst []cover.Compared) ([]cover.Compared, error) {
	if e.target.compare.Rung == instrument.None {
		return dst, nil
	}
	if e.compare == nil {
		inst, err := e.target.load(instrument.Compare)
		if err != nil {
			return dst, err
		}
		e.compare = inst
	}
	if err := e.prepare(e.compare, in); err != nil {
		return dst, err
	}
	e.compare.clearLookups()
	e.grow(len(in.Steps))
	var outcome corpus.StepOutcome
	for i := range in.Steps {
		e.compare.clearOperands()
		if err := e.step(e.compare, &in.Steps[i], &outcome, e.out[i], nil); err != nil {
			return dst, err
		}
		dst = e.target.compared(e.compare, dst, i, len(in.Steps[i].Packet))
	}
	return dst, nil
}

// Compare implements fuzz.Comparer.
func (b *batchExecutor) Compare(ctx context.Context, in *corpus.Input, dst []cover.Compared) ([]cover.Compared, error) {
	return b.single.Compare(ctx, in, dst)
}

func (i *instance) clearOperands() {
	clear(i.mem[i.layout.Compared:][:i.layout.ComparedSize])
}

// compared appends what the last step, whose packet has length bytes, compared.
func (t *Target) compared(inst *instance, dst []cover.Compared, step, length int) []cover.Compared {
	native := binary.NativeEndian
	for i := range inst.layout.Operands {
		o := &inst.layout.Operands[i]
		count := int(native.Uint32(inst.mem[o.Off:]))
		if count == 0 {
			continue
		}
		site := &t.table.Comparisons[o.Site]
		for n := max(count-o.Depth, 0); n < count; n++ {
			pair := inst.mem[o.PairAt(n):]
			c := cover.Compared{Site: o.Site, Step: step, A: native.Uint64(pair), B: native.Uint64(pair[8:])}
			if site.Constant {
				c.B = site.B.Value
			}
			if o.Address && !withoutAddresses(&c, site, min(length, t.linear)) {
				continue
			}
			if site.Size == 4 {
				c.A, c.B = uint64(uint32(c.A)), uint64(uint32(c.B))
			}
			dst = append(dst, c)
		}
	}
	return dst
}

// withoutAddresses turns the addresses of a place in a packet and of its end into
// lengths, the latter being that of the packet. It reports false for other addresses,
// which say nothing of an input.
func withoutAddresses(c *cover.Compared, site *cover.Comparison, length int) bool {
	a, b := isKernelAddress(c.A), isKernelAddress(c.B)
	switch {
	case !a && !b:
		return true
	case !a || !b || !site.Length:
		return false
	case site.Swapped:
		c.A, c.B = uint64(length), c.B-c.A+uint64(length)
	default:
		c.A, c.B = c.A-c.B+uint64(length), uint64(length)
	}
	return true
}

// isKernelAddress reports whether v is in the upper half of the address space and
// no small negative number.
func isKernelAddress(v uint64) bool { return v >= 0xffff<<48 && v < 0xffffffff<<32 }
