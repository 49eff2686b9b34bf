package kernel

import "unsafe"

// Jited is the machine code of a program.
type Jited struct {
	// Code has the functions one behind the other, Lens their sizes in bytes and
	// Addresses where they are in the kernel.
	Code      []byte
	Lens      []uint32
	Addresses []uint64
	// Lines has an address for each line information of the program.
	Lines []uint64
}

// ReadJited returns the machine code of a program. It returns nil where the caller
// may not see it; a program that is interpreted has no code.
func ReadJited(fd int) (*Jited, error) {
	var raw progInfo
	if err := readProgInfo(fd, &raw); err != nil {
		return nil, err
	}
	if raw.jitedSize == 0 {
		return &Jited{}, nil
	}
	j := &Jited{
		Code: make([]byte, raw.jitedSize), Lens: make([]uint32, raw.funcLenCount),
		Addresses: make([]uint64, raw.ksymCount), Lines: make([]uint64, raw.jitedLineCount),
	}
	again := progInfo{
		jitedSize: raw.jitedSize, jited: pointer(j.Code),
		funcLenCount: raw.funcLenCount, funcLens: pointer(j.Lens),
		ksymCount: raw.ksymCount, ksyms: pointer(j.Addresses),
		jitedLineCount: raw.jitedLineCount, jitedLineInfoSize: 8, jitedLineInfo: pointer(j.Lines),
	}
	if err := readProgInfo(fd, &again); err != nil {
		return nil, err
	}
	if again.jited == nil { // as the kernel says that addresses are hidden from the caller
		return nil, nil
	}
	return j, nil
}

func pointer[T any](s []T) unsafe.Pointer {
	if len(s) == 0 {
		return nil
	}
	return unsafe.Pointer(unsafe.SliceData(s))
}
