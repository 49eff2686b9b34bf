package kernel

import (
	"bytes"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// cmdObjInfo is BPF_OBJ_GET_INFO_BY_FD.
const cmdObjInfo = 15

// infoAttr is the part of union bpf_attr that BPF_OBJ_GET_INFO_BY_FD reads.
type infoAttr struct {
	fd, size uint32
	info     unsafe.Pointer
}

// progInfo is struct bpf_prog_info as machines with 64 bits lay it out. Kernels
// that know less of it fill in the beginning, and leave the rest zero.
type progInfo struct {
	typ, id                        uint32
	tag                            [8]byte
	jitedSize, xlatedSize          uint32
	jited, xlated                  unsafe.Pointer
	loadTime                       uint64
	uid, maps                      uint32
	mapIDs                         unsafe.Pointer
	name                           [16]byte
	ifindex, flags                 uint32
	netnsDev, netnsIno             uint64
	ksymCount, funcLenCount        uint32
	ksyms, funcLens                unsafe.Pointer
	btf, funcInfoSize              uint32
	funcInfo                       unsafe.Pointer
	funcInfoCount, lineInfoCount   uint32
	lineInfo, jitedLineInfo        unsafe.Pointer
	jitedLineCount, lineInfoSize   uint32
	jitedLineInfoSize, tagCount    uint32
	tags                           unsafe.Pointer
	runTime, runCount, misses      uint64
	verified, attachObject, attach uint32
	_                              uint32
}

var _ [232]byte = [unsafe.Sizeof(progInfo{})]byte{}

// ProgramInfo is what the kernel tells of a loaded program to anybody who holds it.
type ProgramInfo struct {
	Type, ID uint32
	Tag      [8]byte
	Name     string
	// JitedSize and XlatedSize are in bytes. They are 0 where the caller may not know,
	// JitedSize also where the program is interpreted.
	JitedSize, XlatedSize uint32
	// LoadTime is in nanoseconds since boot.
	LoadTime uint64
	UID      uint32
	MapIDs   []uint32
	GPL      bool
	// Ifindex is the device that the program is offloaded or bound to, 0 for none.
	Ifindex uint32
	// BTF is the id of the program's type information, 0 for none.
	BTF uint32
	// RunTime is in nanoseconds. These three stay 0 while statistics are off.
	RunTime, RunCount, Misses uint64
	// Verified is how many instructions the verifier looked at, since Linux 5.16.
	Verified uint32
}

// ReadProgramInfo asks for a program by its file descriptor.
func ReadProgramInfo(fd int) (*ProgramInfo, error) {
	var raw progInfo
	if err := readProgInfo(fd, &raw); err != nil {
		return nil, err
	}
	info := &ProgramInfo{
		Type: raw.typ, ID: raw.id, Tag: raw.tag, JitedSize: raw.jitedSize, XlatedSize: raw.xlatedSize,
		LoadTime: raw.loadTime, UID: raw.uid, GPL: raw.flags&1 != 0, Ifindex: raw.ifindex, BTF: raw.btf,
		RunTime: raw.runTime, RunCount: raw.runCount, Misses: raw.misses, Verified: raw.verified,
	}
	name, _, _ := bytes.Cut(raw.name[:], []byte{0})
	info.Name = string(name)
	if raw.maps == 0 {
		return info, nil
	}
	// The set of maps of a program never changes.
	ids := make([]uint32, raw.maps)
	again := progInfo{maps: raw.maps, mapIDs: unsafe.Pointer(unsafe.SliceData(ids))}
	if err := readProgInfo(fd, &again); err != nil {
		return nil, err
	}
	info.MapIDs = ids[:min(raw.maps, again.maps)]
	return info, nil
}

// Xlated returns the program's instructions as the verifier left them, nil where
// the caller may not see them.
func Xlated(fd int) ([]byte, error) {
	var raw progInfo
	if err := readProgInfo(fd, &raw); err != nil || raw.xlatedSize == 0 {
		return nil, err
	}
	code := make([]byte, raw.xlatedSize)
	again := progInfo{xlatedSize: raw.xlatedSize, xlated: unsafe.Pointer(unsafe.SliceData(code))}
	if err := readProgInfo(fd, &again); err != nil {
		return nil, err
	}
	if again.xlated == nil { // as the kernel says that addresses are hidden from the caller
		return nil, nil
	}
	return code[:min(raw.xlatedSize, again.xlatedSize)], nil
}

func readProgInfo(fd int, info *progInfo) error {
	attr := &infoAttr{fd: uint32(fd), size: uint32(unsafe.Sizeof(*info)), info: unsafe.Pointer(info)}
	for range maxInterrupts {
		_, _, errno := unix.Syscall(unix.SYS_BPF, cmdObjInfo, uintptr(unsafe.Pointer(attr)), unsafe.Sizeof(*attr))
		switch errno {
		case 0:
			return nil
		case syscall.EINTR:
			continue
		}
		return fmt.Errorf("asking about a program: %w%s", errno, Explain(errno))
	}
	return fmt.Errorf("asking about a program: interrupted %d times", maxInterrupts)
}
