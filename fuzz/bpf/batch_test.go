package bpf

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// batchRounds is how many batches the differential test runs of each program.
const batchRounds = 12

// TestBatchRunsAlike runs structured and random packets through every program at
// hand, in batches and with a call each, from the same map state and in the same
// order: verdict, length, bytes, edges and loop counts must agree.
func TestBatchRunsAlike(t *testing.T) {
	needBatches(t)
	paths := sampleObjects(t)
	for _, pattern := range []string{"../../examples/*/*.o", "internal/instrument/testdata/*.o"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	programs := 0
	for _, path := range paths {
		spec, err := ebpf.LoadCollectionSpec(path)
		if err != nil {
			continue // the tests of objects say so
		}
		for _, name := range programNames(spec) {
			target, err := NewTarget(FromSpec(path, spec), Options{Program: name})
			if err != nil {
				continue // not every program of the testdata is meant to load
			}
			if _, err := target.batchLayout(); err != nil {
				continue
			}
			programs++
			t.Run(filepath.Base(path)+"/"+name, func(t *testing.T) { batchRunsAlike(t, target, batchRounds) })
		}
	}
	if programs == 0 {
		t.Error("no program was run in batches")
	}
}

// needBatches skips a test where programs cannot be loaded or isolated.
func needBatches(t testing.TB) {
	t.Helper()
	for _, c := range kernel.Missing() {
		t.Skipf("needs %s for %s", c.Name, c.For)
	}
}

func programNames(spec *ebpf.CollectionSpec) []string {
	var names []string
	for name, p := range spec.Programs {
		if p.Type == ebpf.XDP || p.Type == ebpf.SchedCLS || p.Type == ebpf.SchedACT {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func batchRunsAlike(t *testing.T, target *Target, rounds int) {
	err := kernel.Isolated(0, func() error {
		d, err := newDifference(target)
		if err != nil {
			return err
		}
		defer d.close(t)
		for round := range rounds {
			d.fill(round)
			if err := d.compare(t); err != nil {
				return err
			}
		}
		t.Logf("%d packets, %d alone, stretches of %d, %d differ by themselves", d.packets, d.alone, d.batch.stretch, d.unstable)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// difference compares batches with single runs.
type difference struct {
	batch *batchExecutor
	refs  [2]*executor // run alike, to know what differs by itself
	mut   *mutate.Mutator
	rng   *rand.Rand
	seeds []*corpus.Input

	packets, alone, unstable int
}

func newDifference(target *Target) (*difference, error) {
	d := &difference{rng: rand.New(rand.NewPCG(4, 4)), mut: mutate.New(target.shape, mutate.Options{Seed: 4}), seeds: mutate.Seeds(target.shape)}
	single, err := newExecutor(target, 0)
	if err != nil {
		return nil, err
	}
	if d.batch, err = newBatchExecutor(single); err != nil {
		return nil, err
	}
	for i := range d.refs {
		if d.refs[i], err = newExecutor(target, 0); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *difference) close(t *testing.T) {
	for _, err := range []error{d.batch.Close(), d.refs[0].Close(), d.refs[1].Close()} {
		if err != nil {
			t.Error(err)
		}
	}
}

// fill writes seeds, children of seeds, and random packets of any legal or illegal
// length, some with metadata.
func (d *difference) fill(round int) {
	b, shape := d.batch.batch, d.batch.target().shape
	b.Reset()
	for n := 0; ; n++ {
		in := b.Next()
		if in == nil {
			return
		}
		seed := d.seeds[d.rng.IntN(len(d.seeds))]
		switch {
		case round == 0 && n < len(d.seeds):
			in.CopyFrom(d.seeds[n])
		case d.rng.IntN(4) > 0:
			d.mut.Mutate(in, seed, d.seeds[d.rng.IntN(len(d.seeds))])
		default:
			s := in.Grow()
			s.Packet = s.Packet[:min(d.rng.IntN(160), cap(s.Packet))]
			if d.rng.IntN(16) == 0 {
				s.Packet = s.Packet[:d.rng.IntN(cap(s.Packet)+1)]
			}
			for i := range s.Packet {
				s.Packet[i] = byte(d.rng.Uint32())
			}
			if shape.Meta.Max > 0 && d.rng.IntN(3) == 0 {
				s.Meta = s.Meta[:4*d.rng.IntN(cap(s.Meta)/4+1)]
				for i := range s.Meta {
					s.Meta[i] = 0xff
				}
			}
		}
		b.Commit()
	}
}

// compare runs the batch and then the same steps in the same order.
func (d *difference) compare(t *testing.T) error {
	if err := d.batch.Run(t.Context()); err != nil {
		return err
	}
	steps, got := d.batch.batch.Slots(), d.batch.batch.Outcomes()
	d.packets += len(steps)
	d.alone += len(d.batch.alone)
	alone := map[int]bool{}
	for _, i := range d.batch.alone {
		alone[i] = true
	}
	features := bytes.Clone(d.batch.Cover())
	for _, ref := range d.refs {
		clear(ref.Cover())
		if err := ref.hot.state.restore(); err != nil {
			return err
		}
	}
	var want [2]corpus.StepOutcome
	run := func(slot int) error {
		for i, ref := range d.refs {
			if err := ref.step(ref.hot, &steps[slot], &want[i], ref.out[0], nil); err != nil {
				return err
			}
			ref.hot.foldLoops()
		}
		if outcomeText(&want[0]) != outcomeText(&want[1]) {
			d.unstable++
			return nil
		}
		if a, b := outcomeText(&got[slot]), outcomeText(&want[0]); a != b {
			s := &steps[slot]
			t.Errorf("slot %d, packet of %d bytes %x, metadata %d, context %x:\nbatch  %.200s\nsingle %.200s", slot, len(s.Packet), s.Packet[:min(len(s.Packet), 64)], len(s.Meta), s.Context, a, b)
		}
		return nil
	}
	for _, j := range d.batch.jobs {
		if alone[j.slot] {
			// It ran in the batch as well and left its traces there.
			for i, ref := range d.refs {
				if err := ref.step(ref.hot, &steps[j.slot], &want[i], ref.out[0], nil); err != nil {
					return err
				}
				ref.hot.foldLoops()
			}
			continue
		}
		if err := run(j.slot); err != nil {
			return err
		}
		if t.Failed() {
			return nil
		}
	}
	for _, i := range d.batch.alone {
		for _, ref := range d.refs {
			if err := ref.hot.state.restore(); err != nil {
				return err
			}
		}
		if err := run(i); err != nil {
			return err
		}
	}
	stable := bytes.Equal(d.refs[0].Cover(), d.refs[1].Cover())
	if stable && d.unstable == 0 && !bytes.Equal(features, d.refs[0].Cover()) {
		t.Errorf("batch covers\n%x, single\n%x", features, d.refs[0].Cover())
	}
	return nil
}

func outcomeText(o *corpus.StepOutcome) string {
	return fmt.Sprintf("ret %d errno %d, %d bytes %x", o.Ret, o.Errno, len(o.Packet), o.Packet)
}
