package bpf

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"
)

// mapArrays makes per-CPU arrays plain ones and lets userspace map the values of
// arrays, so that what a run changed is put back without a system call. A worker
// stays on one CPU, so a per-CPU array and an array are the same to its program,
// unless it asks for another CPU's value. It returns the kinds that were changed.
func mapArrays(spec *ebpf.CollectionSpec) map[string]ebpf.MapType {
	changed := map[string]ebpf.MapType{}
	inner, others := innerMaps(spec), readsOtherCPUs(spec)
	for name, m := range spec.Maps {
		const special = unix.BPF_F_RDONLY_PROG | unix.BPF_F_MMAPABLE | unix.BPF_F_INNER_MAP
		if inner[name] || isConstant(name) || m.Flags&special != 0 || !isPlainValue(m) {
			continue
		}
		if m.Type == ebpf.PerCPUArray && !others {
			changed[name] = m.Type
			m.Type = ebpf.Array
		}
		if m.Type == ebpf.Array {
			m.Flags |= unix.BPF_F_MMAPABLE
		}
	}
	return changed
}

// innerMaps returns the maps that are values of other maps: their flags must stay
// those of the template.
func innerMaps(spec *ebpf.CollectionSpec) map[string]bool {
	inner := map[string]bool{}
	for _, m := range spec.Maps {
		if m.Type != ebpf.ArrayOfMaps && m.Type != ebpf.HashOfMaps {
			continue
		}
		for _, kv := range m.Contents {
			if name, ok := kv.Value.(string); ok {
				inner[name] = true
			}
		}
	}
	return inner
}

// readsOtherCPUs reports whether a program looks up a given CPU's value.
func readsOtherCPUs(spec *ebpf.CollectionSpec) bool {
	for _, p := range spec.Programs {
		for i := range p.Instructions {
			if ins := &p.Instructions[i]; ins.IsBuiltinCall() && ins.Constant == int64(asm.FnMapLookupPercpuElem) {
				return true
			}
		}
	}
	return false
}

// isPlainValue reports whether the kernel lets userspace map a map's values: those
// that have nothing of the kernel's inside.
func isPlainValue(m *ebpf.MapSpec) bool {
	if m.Value == nil {
		return true
	}
	plain := true
	w := walker{visit: func(t btf.Type) {
		switch t := t.(type) {
		case *btf.Struct:
			plain = plain && !isKernelOwned(t.Name)
		case *btf.Pointer:
			plain = plain && !isKptr(t)
		}
	}}
	w.walk(m.Value, 0)
	return plain
}

// isKptr reports whether a pointer in a map's value is one that the kernel counts.
func isKptr(p *btf.Pointer) bool {
	_, tagged := p.Target.(*btf.TypeTag)
	return tagged
}
