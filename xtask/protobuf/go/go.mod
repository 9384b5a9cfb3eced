// Go needs this file to find the root of the module. The dependencies are in the files kubernetes-*.mod.
module protobuf.xtask.invalid

go 1.26.0
