package bpf

import (
	"encoding/binary"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// Keys implements fuzz.KeyLogger.
func (e *executor) Keys(dst []cover.Lookup) []cover.Lookup {
	inst := e.compare
	if inst == nil {
		return dst
	}
	native := binary.NativeEndian
	for i := range inst.layout.Lookups {
		l := &inst.layout.Lookups[i]
		count := int(native.Uint32(inst.mem[l.Off:]))
		for n := max(count-instrument.Ring, 0); n < count; n++ {
			key := l.KeyAt(n)
			dst = append(dst, cover.Lookup{
				Map: l.Map, Key: inst.mem[key : key+l.KeySize : key+l.KeySize],
				Found: l.Found(native.Uint64(inst.mem[l.ResultAt(n):])),
			})
		}
	}
	return dst
}

// Keys implements fuzz.KeyLogger.
func (b *batchExecutor) Keys(dst []cover.Lookup) []cover.Lookup { return b.single.Keys(dst) }

// clearLookups forgets the keys of the last run.
func (i *instance) clearLookups() {
	for n := range i.layout.Lookups {
		binary.NativeEndian.PutUint32(i.mem[i.layout.Lookups[n].Off:], 0)
	}
}
