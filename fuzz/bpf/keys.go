package bpf

import (
	"encoding/binary"

	"github.com/bpffuzz/bpffuzz/corpus/cover"
	"github.com/bpffuzz/bpffuzz/fuzz/bpf/internal/instrument"
)

// Keys implements fuzz.KeyLogger.
func (e *executor) Keys(dst []cover.Lookup) []cover.Lookup { return e.compare.keys(dst) }

// keys appends the lookups since clearLookups.
func (i *instance) keys(dst []cover.Lookup) []cover.Lookup {
	if i == nil {
		return dst
	}
	native := binary.NativeEndian
	for n := range i.layout.Lookups {
		l := &i.layout.Lookups[n]
		count := int(native.Uint32(i.mem[l.Off:]))
		for call := max(count-instrument.Ring, 0); call < count; call++ {
			key := l.KeyAt(call)
			dst = append(dst, cover.Lookup{
				Map: l.Map, Key: i.mem[key : key+l.KeySize : key+l.KeySize],
				Found: l.Found(native.Uint64(i.mem[l.ResultAt(call):])),
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
