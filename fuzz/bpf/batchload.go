package bpf

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
)

// batchMap is the name of the map through which a batch goes.
const batchMap = "bpffuzz_batch"

const (
	// batchSlots is how many steps a batch holds. The call costs less than 1 % of
	// that many runs, and the lines that they touch stay in the cache.
	batchSlots = 256
	// fragsSlots is the same for programs whose packets may have many pages.
	fragsSlots = 128
)

// batchInstance is a target loaded to run batches.
type batchInstance struct {
	*instance
	batch    *instrument.BatchLayout
	value    []byte // of the batch map
	shares   bool   // that map and memory are another instance's
	attached link.Link
}

// batchLayout returns how batches of the target lie in memory, or an error that
// says why there can be none.
func (t *Target) batchLayout() (*instrument.BatchLayout, error) {
	packet := t.shape.Packet.Max
	if len(t.feed) > 0 {
		return nil, errors.New("feedback maps are read before and after each packet")
	}
	switch t.spec.Programs[t.program].Type {
	case ebpf.XDP:
		return t.xdpLayout()
	case ebpf.SchedCLS, ebpf.SchedACT:
		return instrument.NewBatchLayout(instrument.SKB, cmp.Or(t.slots, batchSlots), packet, packet), nil
	}
	return nil, fmt.Errorf("programs of type %s cannot replace their packet", t.shape.Type)
}

// xdpLayout returns how batches of an XDP program lie in memory.
func (t *Target) xdpLayout() (*instrument.BatchLayout, error) {
	room, err := kernel.MeasureXDPRoom()
	if err != nil {
		return nil, err
	}
	n := batchSlots
	if t.shape.Packet.Max > t.linear {
		n = fragsSlots
	}
	l := instrument.NewBatchLayout(instrument.XDP, cmp.Or(t.slots, n), t.shape.Packet.Max, t.linear)
	l.Headroom, l.MetaInHead = room.Head, room.MetaInHead
	l.MetaAlone = room.MetaInHead == room.MetaInTail // the packet moves in a way that is not understood
	if room.Head > instrument.MaxHeadroom {
		return nil, fmt.Errorf("%d bytes in front of an XDP packet, more than are known how to clear", room.Head)
	}
	return l, nil
}

// loadBatch loads the variant that runs batches, on an isolated thread.
func (t *Target) loadBatch(l *instrument.BatchLayout) (*batchInstance, error) {
	spec, err := t.rewrittenBatch(l, instrument.None)
	if err != nil {
		return nil, err
	}
	inst, err := t.instantiate(spec, t.plan.CoverLayout(t.step.Rung, instrument.None, l), "", nil)
	if err != nil {
		return nil, err
	}
	inst.state.keep = t.keep
	b := &batchInstance{batch: l, instance: inst}
	if err := b.attach(t); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return b, nil
}

// rewrittenBatch returns the collection with programs that run batches and score that
// many comparisons.
func (t *Target) rewrittenBatch(l *instrument.BatchLayout, scored instrument.Rung) (*ebpf.CollectionSpec, error) {
	entry, code, err := t.plan.RewriteBatch(t.step.Rung, scored, l, coverMap, batchMap)
	if err != nil {
		return nil, err
	}
	spec := t.spec.Copy()
	for i, name := range t.names {
		spec.Programs[name].Instructions = code[i]
		spec.Programs[name].Flags |= t.step.Flags
	}
	// A tail call of the entry program must not load the next packet.
	callee := t.program + "_callee"
	if renameCallee(spec, t.program, callee) {
		spec.Programs[callee] = spec.Programs[t.program].Copy()
	}
	spec.Programs[t.program].Instructions = entry
	spec.Maps[coverMap] = mappedValue(coverMap, t.plan.CoverLayout(t.step.Rung, scored, l).Size)
	spec.Maps[batchMap] = mappedValue(batchMap, l.Size)
	t.addChance(spec)
	t.addFault(spec)
	return spec, nil
}

// renameCallee puts another program into prog arrays, and reports whether any had it.
func renameCallee(spec *ebpf.CollectionSpec, from, to string) bool {
	found := false
	for _, m := range spec.Maps {
		if m.Type != ebpf.ProgramArray {
			continue
		}
		m.Contents = slices.Clone(m.Contents)
		for i := range m.Contents {
			if name, ok := m.Contents[i].Value.(string); ok && name == from {
				m.Contents[i].Value, found = to, true
			}
		}
	}
	return found
}

// mappedValue is a map with a single value that userspace can map.
func mappedValue(name string, size int) *ebpf.MapSpec {
	return &ebpf.MapSpec{
		Name: name, Type: ebpf.Array, KeySize: 4, MaxEntries: 1, Flags: unix.BPF_F_MMAPABLE, ValueSize: uint32(size),
	}
}

// attach maps the slots and attaches an XDP program: the kernel enters a program that
// is to run more than once in a table of XDP programs and takes it out afterwards,
// which takes tens of milliseconds unless the program is in there anyway.
func (b *batchInstance) attach(t *Target) (err error) {
	if b.value, err = kernel.MapMemory(b.coll.Maps[batchMap].FD(), b.batch.Size); err != nil {
		return err
	}
	b.batch.Init(b.value)
	if b.batch.Packets != instrument.XDP {
		return nil
	}
	b.attached, err = link.AttachXDP(link.XDPOptions{
		Program: b.coll.Programs[t.program], Interface: lo, Flags: link.XDPGenericMode,
	})
	if err != nil {
		return fmt.Errorf("attaching %q to the loopback interface of a private network namespace: %w%s", t.program, err, kernel.Explain(err))
	}
	return nil
}

// Close detaches the program and gives everything back.
func (b *batchInstance) Close() error {
	if b == nil {
		return nil
	}
	var err error
	if b.attached != nil {
		err = b.attached.Close()
	}
	if !b.shares {
		err = errors.Join(err, kernel.Unmap(b.value))
	}
	return errors.Join(err, b.instance.Close())
}
