package bpf

import (
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"syscall"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/kernel"
	"github.com/bpffuzz/bpffuzz/fuzz/internal/strict"
)

const (
	// maxCounters bounds the counters of a feedback map: they are read before and
	// after each input.
	maxCounters = 1 << 16
	// hashCounters is over how many counters the entries of a hash are spread.
	hashCounters = 1 << 12
)

// feedbackMap is a map whose values guide the fuzzer: each is a row of counters, of
// 8 bytes where the size allows, else 4, 2 or 1.
type feedbackMap struct {
	name               string
	typ                ebpf.MapType
	keySize, valueSize int // valueSize of one CPU
	entries            int
	cpus               int // values of an entry
}

func newFeedbackMap(name string, typ ebpf.MapType, keySize, valueSize, entries uint32, cpus int) (feedbackMap, error) {
	m := feedbackMap{name: name, typ: typ, keySize: int(keySize), valueSize: int(valueSize), entries: int(entries), cpus: 1}
	switch typ {
	case ebpf.Array, ebpf.PerCPUArray, ebpf.Hash, ebpf.PerCPUHash, ebpf.LRUHash, ebpf.LRUCPUHash:
	default:
		return m, fmt.Errorf("feedback map %q is of kind %s: counters are read from arrays and hashes, per CPU or not", name, kindOf(typ).name)
	}
	if isPerCPU(typ) {
		m.cpus = cpus
	}
	if n := m.counters(); n > maxCounters {
		return m, fmt.Errorf("feedback map %q has %d counters, at most %d can be read for each input", name, n, maxCounters)
	}
	return m, nil
}

func (m *feedbackMap) isArray() bool { return m.typ == ebpf.Array || m.typ == ebpf.PerCPUArray }

// width is the size of a counter in bytes.
func (m *feedbackMap) width() int {
	for _, w := range [...]int{8, 4, 2} {
		if m.valueSize%w == 0 {
			return w
		}
	}
	return 1
}

func (m *feedbackMap) perValue() int { return m.valueSize / m.width() }

// counters returns how many there are.
func (m *feedbackMap) counters() int {
	if m.isArray() {
		return m.entries * m.perValue()
	}
	return hashCounters
}

// stride is the distance of values as the kernel copies them.
func (m *feedbackMap) stride() int {
	if m.cpus == 1 {
		return m.valueSize
	}
	return (m.valueSize + 7) &^ 7
}

// feedback reads the feedback maps of an instance. What it adds to the feature
// vector is a byte for each counter that a run changed, and one with the power of
// two of the change, as edges and loops have it.
type feedback struct {
	maps     []feedbackMap
	access   []*kernel.Map
	key      []byte
	next     []byte
	value    []byte
	before   []uint64
	after    []uint64
	hit      []byte
	buckets  []byte
	probes   int // of the instrumentation
	loops    int
	combined []byte
}

// addFeedback extends the table by the counters of feedback maps of the object.
func (t *Target) addFeedback(names []string) error {
	for _, name := range names {
		m := t.spec.Maps[name]
		if m == nil {
			return fmt.Errorf("feedback map: program %q uses no map %q; %s", t.program, name, strict.Neighbours(name, mapOrder(t.spec)))
		}
		feed, err := newFeedbackMap(name, m.Type, m.KeySize, m.ValueSize, m.MaxEntries, t.machine.cpus)
		if err != nil {
			return err
		}
		t.feed = append(t.feed, feed)
	}
	return t.guide()
}

// guide makes the table that has the counters of t.feed as edges.
func (t *Target) guide() error {
	if len(t.feed) == 0 {
		return nil
	}
	switch t.mode {
	case executorBatch:
		return fmt.Errorf("feedback maps are read after each input, so executor %q cannot be used: choose %s", executorBatch, executorSingle)
	default:
		t.mode = executorSingle
	}
	table := &cover.Table{
		Edges: slices.Clone(t.table.Edges), Loops: slices.Clone(t.table.Loops), Probes: t.table.Probes,
		Comparisons: t.table.Comparisons, Entries: t.table.Entries,
	}
	for i := range t.feed {
		m := &t.feed[i]
		for n := range m.counters() {
			table.Loops = append(table.Loops, len(table.Edges))
			table.Edges = append(table.Edges, cover.Edge{
				ID: counterID(m.name, n), Func: t.program, Kind: cover.Entry, From: -1, To: n,
				ToPos: cover.Pos{File: "map " + m.name, Line: n, Column: 1}, Probe: table.Probes,
			})
			table.Probes++
		}
		t.notes = append(t.notes, fmt.Sprintf("the %d counters of map %q guide the fuzzer; they are read before and after each input, which takes time", m.counters(), m.name))
	}
	t.table = table
	return nil
}

func counterID(name string, n int) uint64 {
	h := fnv.New64a()
	fmt.Fprintf(h, "map %s counter %d", name, n)
	return h.Sum64()
}

// openFeedback readies the feedback maps of an instance, nil where there are none.
func (t *Target) openFeedback(inst *instance) (*feedback, error) {
	if len(t.feed) == 0 {
		return nil, nil
	}
	f := &feedback{maps: t.feed, probes: inst.layout.Probes, loops: inst.layout.Loops, combined: make([]byte, t.table.Len())}
	total, key, value := 0, 0, 0
	for i := range f.maps {
		m := &f.maps[i]
		open := inst.coll.Maps[m.name]
		if open == nil {
			return nil, fmt.Errorf("feedback map %q is not among the program's", m.name)
		}
		f.access = append(f.access, kernel.NewMap(open.FD()))
		total += m.counters()
		key, value = max(key, m.keySize), max(value, m.stride()*m.cpus)
	}
	f.key, f.next, f.value = make([]byte, key), make([]byte, key), make([]byte, value)
	f.before, f.after = make([]uint64, total), make([]uint64, total)
	f.hit, f.buckets = make([]byte, total), make([]byte, total)
	return f, nil
}

// guide opens the feedback maps that an instance of the target has.
func (i *instance) guide(t *Target) (err error) {
	i.feed, err = t.openFeedback(i)
	return err
}

// own returns the feature vector of the instrumentation alone, as long as that of a
// table is.
func (i *instance) own() []byte { return i.mem[:(i.layout.Probes+i.layout.Loops+7)&^7] }

// covered returns the feature vector: what the instrumentation saw, and what happened
// to feedback maps.
func (i *instance) covered() []byte {
	if i.feed == nil {
		return i.own()
	}
	return i.feed.join(i.mem)
}

// forget clears what the last runs covered.
func (i *instance) forget() {
	clear(i.own())
	if i.feed != nil {
		clear(i.feed.hit)
		clear(i.feed.buckets)
	}
}

// fold completes the feature vector after an input.
func (i *instance) fold() error {
	i.foldLoops()
	return i.feed.end()
}

// begin takes down the counters before an input; nil is fine.
func (f *feedback) begin() error {
	if f == nil {
		return nil
	}
	return f.read(f.before)
}

// end notes what the input changed; nil is fine.
func (f *feedback) end() error {
	if f == nil {
		return nil
	}
	if err := f.read(f.after); err != nil {
		return err
	}
	for i, now := range f.after {
		change := now - f.before[i]
		if change == 0 {
			continue
		}
		f.hit[i] = 1
		f.buckets[i] |= cover.Bucket(uint32(min(change, -change, 1<<31))) // it may have gone down
	}
	return nil
}

// join returns the feature vector with the instrumentation's own, mem, in it.
func (f *feedback) join(mem []byte) []byte {
	n := copy(f.combined, mem[:f.probes])
	n += copy(f.combined[n:], f.hit)
	n += copy(f.combined[n:], mem[f.probes:f.probes+f.loops])
	copy(f.combined[n:], f.buckets)
	return f.combined
}

func (f *feedback) read(into []uint64) error {
	clear(into)
	for i := range f.maps {
		m := &f.maps[i]
		errno := syscall.Errno(0)
		if m.isArray() {
			errno = f.readArray(m, f.access[i], into)
		} else {
			errno = f.readHash(m, f.access[i], into)
		}
		if errno != 0 {
			return fmt.Errorf("reading feedback map %q: %w%s", m.name, errno, kernel.Explain(errno))
		}
		into = into[m.counters():]
	}
	return nil
}

func (f *feedback) readArray(m *feedbackMap, access *kernel.Map, into []uint64) syscall.Errno {
	key, value := f.key[:m.keySize], f.value[:m.stride()*m.cpus]
	for n := range m.entries {
		putInteger(key, uint64(n), false)
		if errno := access.Lookup(key, value); errno != 0 {
			return errno
		}
		m.sum(value, into[n*m.perValue():(n+1)*m.perValue()])
	}
	return 0
}

// readHash adds up entries that fall on the same counter. That an entry is there
// counts as one, so that it shows even where its value is zero.
func (f *feedback) readHash(m *feedbackMap, access *kernel.Map, into []uint64) syscall.Errno {
	key, next, value := f.key[:m.keySize], f.next[:m.keySize], f.value[:m.stride()*m.cpus]
	per := min(m.perValue(), hashCounters)
	from := []byte(nil)
	for range m.entries { // others may add entries all the time
		switch errno := access.Next(from, next); errno {
		case 0:
		case unix.ENOENT:
			return 0
		default:
			return errno
		}
		copy(key, next)
		from = key
		if errno := access.Lookup(key, value); errno == unix.ENOENT {
			continue
		} else if errno != 0 {
			return errno
		}
		at := int(hashOf(key)) % (hashCounters - per + 1)
		into[at]++
		m.sum(value, into[at:at+per])
	}
	return 0
}

// hashOf is FNV-1a of 32 bits, without an allocation.
func hashOf(key []byte) uint32 {
	h := uint32(2166136261)
	for _, b := range key {
		h = (h ^ uint32(b)) * 16777619
	}
	return h &^ (1 << 31)
}

// sum adds the counters of a value, those of all CPUs together.
func (m *feedbackMap) sum(value []byte, into []uint64) {
	width := m.width()
	for cpu := range m.cpus {
		one := value[cpu*m.stride():]
		for i := range into {
			into[i] += integerAt(one[i*width:(i+1)*width], false)
		}
	}
}

// FeedbackMaps lists the names of the maps that may guide the fuzzer.
func (l *Loaded) FeedbackMaps() ([]string, error) {
	open, err := l.openMaps()
	if err != nil {
		return nil, err
	}
	defer open.Close()
	var names []string
	for name, m := range open {
		if _, err := newFeedbackMap(name, m.Type(), m.KeySize(), m.ValueSize(), m.MaxEntries(), 1); err == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// openMaps opens the maps of a program by name.
func (l *Loaded) openMaps() (reusedMaps, error) {
	info, err := kernel.ReadProgramInfo(l.prog.FD())
	if err != nil {
		return nil, err
	}
	open := reusedMaps{}
	for _, id := range info.MapIDs {
		m, err := ebpf.NewMapFromID(ebpf.MapID(id))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("opening map %d of program %q: %w%s", id, l.name, err, kernel.Explain(err)), open.Close())
		}
		name := fmt.Sprintf("map-%d", id)
		if details, err := m.Info(); err == nil && details.Name != "" && open[details.Name] == nil {
			name = details.Name
		}
		open[name] = m
	}
	return open, nil
}

// only keeps the maps with the given names, which they have from then on.
func (r reusedMaps) only(program string, names []string) (reusedMaps, error) {
	kept := reusedMaps{}
	var known []string
	for name := range r {
		known = append(known, name)
	}
	slices.Sort(known)
	for _, name := range names {
		at := slices.IndexFunc(known, func(have string) bool { return sameName(have, name) })
		if at < 0 {
			return nil, fmt.Errorf("feedback map: program %q uses no map %q; it uses %s", program, name, strings.Join(known, ", "))
		}
		kept[name] = r[known[at]]
	}
	return kept, nil
}
