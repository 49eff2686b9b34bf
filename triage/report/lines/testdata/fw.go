mode: count
./testdata/fw.c:2.1,2.29 1 9
./testdata/fw.c:3.2,3.17 1 4
./testdata/fw.c:4.3,4.22 1 1
./testdata/fw.c:5.2,5.8 1 0
