package bpf

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/bpffuzz/bpffuzz/corpus"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
	"github.com/bpffuzz/bpffuzz/mutate"
)

// batchRounds is how many batches the differential test runs of each program, and
// fullRounds how many where it is asked for more than 10,000 packets.
const batchRounds, fullRounds = 8, 40

// TestBatchRunsAlike runs structured and random packets through every program at
// hand, in batches and with a call each, from the same map state and in the same
// order: verdict, length, bytes, context, edges and loop counts must agree.
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
	programs, rounds := 0, batchRounds
	if os.Getenv("BPFFUZZ_DIFFERENTIAL") != "" {
		rounds = fullRounds
	}
	for _, path := range paths {
		spec, err := ebpf.LoadCollectionSpec(path)
		if err != nil {
			continue // the tests of objects say so
		}
		for _, name := range programNames(spec) {
			target, err := NewTarget(FromSpec(path, spec), Options{Program: name, MaxSteps: 1})
			if err != nil {
				continue // not every program of the testdata is meant to load
			}
			if _, err := target.batchLayout(); err != nil {
				continue
			}
			programs++
			t.Run(filepath.Base(path)+"/"+name, func(t *testing.T) { batchRunsAlike(t, target, rounds) })
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
			if err := d.compare(t); err != nil || t.Failed() {
				return err
			}
		}
		d.name(t)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// name says which program gave an input different outcomes in two single runs from one
// state. That is for programs that ask for time or chance: any other would be a run
// of ours that is not put back as it was.
func (d *difference) name(t *testing.T) {
	shape := d.batch.target().shape
	t.Logf("%d packets, %d alone, %d contexts compared, stretches of %d", d.packets, d.alone, d.contexts, d.batch.stretch)
	switch {
	case d.unstable == 0:
	case len(shape.Chance) > 0 || len(shape.Lasts()) > 0:
		t.Logf("%q differs by itself: %d packets of %d; it calls %q, %q stays", d.batch.target().program, d.unstable, d.packets, shape.Chance, shape.Lasts())
	default:
		t.Errorf("%q differs by itself and asks for neither time nor chance: %d packets of %d", d.batch.target().program, d.unstable, d.packets)
	}
}

// difference compares batches with single runs.
type difference struct {
	batch *batchExecutor
	refs  [2]*executor // run alike, to know what differs by itself
	mut   *mutate.Mutator
	rng   *rand.Rand
	seeds []*corpus.Input
	want  []string // contexts that single runs leave, by slot; "" where they differ

	packets, alone, contexts, unstable int
	// listener is a socket that programs may find.
	listener net.PacketConn
}

func newDifference(target *Target) (*difference, error) {
	d := &difference{rng: rand.New(rand.NewPCG(4, 4)), mut: mutate.New(target.shape, mutate.Options{Seed: 4}), seeds: mutate.Seeds(target.shape)}
	for i := range d.refs {
		ref, err := newExecutor(target, 0)
		if err != nil {
			return nil, err
		}
		d.refs[i] = ref
	}
	// Last, because each executor moves the thread to another network namespace, and the
	// program of the batch stays attached in this one.
	single, err := newExecutor(target, 0)
	if err != nil {
		return nil, err
	}
	d.listener, err = net.ListenPacket("udp4", fmt.Sprintf(":%d", listenPort))
	if err != nil {
		return nil, err
	}
	d.batch, err = newBatchExecutor(single)
	return d, err
}

func (d *difference) close(t *testing.T) {
	for _, err := range []error{d.listener.Close(), d.batch.Close(), d.refs[0].Close(), d.refs[1].Close()} {
		if err != nil {
			t.Error(err)
		}
	}
}

// fill writes seeds, children of seeds, and random packets of any legal or illegal
// length. Contexts and metadata vary with both.
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
			d.random(in.Grow())
		}
		s := &in.Steps[len(in.Steps)-1]
		if shape.Meta.Max > 0 && d.rng.IntN(4) == 0 {
			s.Meta = s.Meta[:4*d.rng.IntN(cap(s.Meta)/4+1)]
			for i := range s.Meta {
				s.Meta[i] = 0xff
			}
		}
		if d.rng.IntN(2) == 0 {
			d.context(s)
		}
		b.Commit()
	}
}

// random fills a step with random bytes, mostly few.
func (d *difference) random(s *corpus.Step) {
	s.Packet = s.Packet[:min(d.rng.IntN(160), cap(s.Packet))]
	if d.rng.IntN(16) == 0 {
		s.Packet = s.Packet[:d.rng.IntN(cap(s.Packet)+1)]
	}
	for i := range s.Packet {
		s.Packet[i] = byte(d.rng.Uint32())
	}
}

// context sets each field of the step's context with a chance of one in three to a
// telling value or a random one. What the kernel would refuse the executors make legal.
func (d *difference) context(s *corpus.Step) {
	shape := d.batch.target().shape
	s.Context = s.Context[:shape.ContextSize]
	clear(s.Context)
	for i := range shape.Context {
		f := &shape.Context[i]
		if d.rng.IntN(3) > 0 {
			continue
		}
		v := d.rng.Uint64()
		if len(f.Values) > 0 && d.rng.IntN(2) == 0 {
			v = f.Values[d.rng.IntN(len(f.Values))]
		}
		putInteger(s.Context[f.Offset:f.Offset+f.Size], v, f.Big)
	}
}

// compare runs the batch, then the same steps in the same order with a call each,
// and then the batch once more in small calls that tell the context.
func (d *difference) compare(t *testing.T) error {
	if err := d.batch.Run(t.Context()); err != nil {
		return err
	}
	d.packets += len(d.batch.batch.Slots())
	d.alone += len(d.batch.alone)
	features := bytes.Clone(d.batch.Cover())
	for _, ref := range d.refs {
		clear(ref.Cover())
	}
	unstable := d.unstable
	if err := d.single(t); err != nil || t.Failed() {
		return err
	}
	stable := bytes.Equal(d.refs[0].Cover(), d.refs[1].Cover()) && d.unstable == unstable
	if stable && !bytes.Equal(features, d.refs[0].Cover()) {
		t.Errorf("batch covers\n%x, single\n%x", features, d.refs[0].Cover())
	}
	return d.compareContexts(t)
}

// single runs the steps of the batch as it did: those of the jobs in their order,
// those that it ran alone from the initial state.
func (d *difference) single(t *testing.T) error {
	d.want = make([]string, len(d.batch.batch.Slots()))
	alone := map[int]bool{}
	for _, i := range d.batch.alone {
		alone[i] = true // an input has one step here
	}
	if err := d.restore(); err != nil {
		return err
	}
	for _, j := range d.batch.jobs {
		// What has no outcome ran in the batch as well and left its traces there.
		if err := d.step(t, j.slot, !alone[j.slot]); err != nil || t.Failed() {
			return err
		}
	}
	want := d.want
	d.want = make([]string, len(want)) // from another state
	defer func() { d.want = want }()
	for _, i := range d.batch.alone {
		if err := d.restore(); err != nil {
			return err
		}
		if err := d.step(t, i, true); err != nil || t.Failed() {
			return err
		}
	}
	return nil
}

func (d *difference) restore() error {
	for _, ref := range d.refs {
		if err := ref.hot.state.restore(); err != nil {
			return err
		}
	}
	return nil
}

// step runs the step of a slot twice, once with and once without asking for its
// context, and compares what the batch made of it.
func (d *difference) step(t *testing.T, slot int, judge bool) error {
	s, got := &d.batch.batch.Slots()[slot], &d.batch.batch.Outcomes()[slot]
	var want [2]corpus.StepOutcome
	ctx := [2][]byte{make([]byte, d.batch.target().shape.ContextSize)}
	for i, ref := range d.refs {
		if err := ref.step(ref.hot, s, &want[i], ref.out[0], ctx[i]); err != nil {
			return err
		}
		ref.hot.foldLoops()
	}
	if outcomeText(&want[0]) != outcomeText(&want[1]) {
		d.unstable++
		return nil
	}
	if want[0].Errno == 0 {
		d.want[slot] = d.contextText(want[0].Context)
	}
	if a, b := outcomeText(got), outcomeText(&want[0]); judge && a != b {
		t.Errorf("slot %d, packet of %d bytes %x, metadata %d, context %x:\nbatch  %.200s\nsingle %.200s", slot, len(s.Packet), s.Packet[:min(len(s.Packet), 64)], len(s.Meta), s.Context, a, b)
	}
	return nil
}

// compareContexts runs the jobs again, in calls of a few each, and compares the
// context that each call ends with. What no program can write is compared where this one
// looks at it: elsewhere a batch does not pass it.
func (d *difference) compareContexts(t *testing.T) error {
	b := d.batch
	if d.unstable > 0 {
		return nil // states are no longer alike
	}
	if err := b.inst.state.restore(); err != nil {
		return err
	}
	b.describe()
	in, out := make([]byte, b.target().shape.ContextSize), make([]byte, b.target().shape.ContextSize)
	for i, at := range b.rows {
		end := len(b.jobs)
		if i+1 < len(b.rows) {
			end = b.rows[i+1]
		}
		for at < end {
			b.begin(at, min(end, at+1+d.rng.IntN(4)))
			if ctx := b.callContext(b.jobs[at].key, len(b.batch.Slots()[b.jobs[at].slot].Packet)); ctx != nil {
				in = ctx
			} else {
				clear(in)
				b.target().row.fix(in, b.batch.Slots()[b.jobs[at].slot].Packet, 0)
			}
			b.inst.run.SetContext(in, out)
			if errno := b.inst.run.DoLong(); errno != 0 {
				return errno
			}
			next := b.reached(0)
			if next <= at {
				return fmt.Errorf("a call at descriptor %d stopped at %d", at, next)
			}
			slot := b.jobs[next-1].slot
			d.contexts++
			if got := d.contextText(out); got != d.want[slot] {
				s := &b.batch.Slots()[slot]
				t.Errorf("slot %d, packet of %d bytes, metadata %d, context %x leaves the context\nbatch  %s\nsingle %s", slot, len(s.Packet), len(s.Meta), s.Context, got, d.want[slot])
				return nil
			}
			at = next
		}
	}
	return nil
}

// contextText shows the fields of an output context that a batch has to leave as a
// single run does. The metadata of an XDP packet, whose length is in data, is
// taken for packet at the end of a call.
func (d *difference) contextText(ctx []byte) string {
	var text strings.Builder
	at, skb := d.batch.looksAt, d.batch.inst.batch.Packets == instrument.SKB
	for _, f := range d.batch.target().shape.Output {
		told := true
		switch f.Name {
		case "data":
			told = false
		case "ifindex":
			told = at.device
		case "ingress_ifindex":
			told = skb && at.ingress // XDP programs cannot tell lo from none
		case "rx_queue_index":
			told = at.device
		case "wire_len":
			told = at.wireLen
		case "gso_segs":
			told = at.segs
		case "hwtstamp":
			told = at.hwtstamp
		}
		if told {
			fmt.Fprintf(&text, "%s %#x ", f.Name, integerAt(ctx[f.Offset:f.Offset+f.Size], f.Big))
		}
	}
	return text.String()
}

func outcomeText(o *corpus.StepOutcome) string {
	return fmt.Sprintf("ret %d errno %d, %d bytes %x", o.Ret, o.Errno, len(o.Packet), o.Packet)
}
