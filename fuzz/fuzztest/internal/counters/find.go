package counters

// find returns where in all counters of the process those of the cells are: one
// behind the other, as the linker leaves them. It reports false where it did not.
//
// Other goroutines may be counting meanwhile. That a cell is taken for another is
// excluded by trying each one.
//
//go:norace
func find(all []byte) (at int, ok bool) {
	if len(all) < cells {
		return 0, false
	}
	for i := range all {
		all[i] = 0
	}
	hit(0)
	for i := 0; i+cells <= len(all); i++ {
		if all[i] != 0 && contiguous(all[i:i+cells]) {
			return i, true
		}
	}
	return 0, false
}

// contiguous reports whether each cell counts in the byte of its number, and in no
// other of them.
//
//go:norace
func contiguous(window []byte) bool {
	for cell := range window {
		window[cell] = 0
	}
	for cell := range window {
		hit(cell)
		for i, count := range window {
			if (count != 0) != (i <= cell) {
				return false
			}
		}
	}
	for cell := range window {
		window[cell] = 0
	}
	return true
}
