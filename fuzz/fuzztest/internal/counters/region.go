//go:build linux && (amd64 || arm64) && go1.26 && !go1.27 && !bpffuzz_portable

package counters

import "unsafe"

// Where the linker puts the counters of all packages that are built for fuzzing. The
// two names are equal where none is. Later versions of Go may refuse the names: the
// build constraint names those with which they were tried.
//
//go:linkname start runtime.__start___sancov_cntrs
//go:linkname stop runtime.__stop___sancov_cntrs
var start, stop [0]byte

// region returns all counters of this process, nil where there are none.
func region() []byte {
	first := unsafe.Pointer(&start)
	size := uintptr(unsafe.Pointer(&stop)) - uintptr(first)
	if size == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(first), size)
}
