# The driver s3 against a real store: a suite of its own, since the store is heavy. Its packages are installed by itself.
$(B)/s3/store: $(B)/obj/tests/s3/store.o $(LIB)
	@mkdir -p $(@D)
	@$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)

.PHONY: test-s3
test-s3: setup-test ## The object store's driver s3 against Ceph's gateway, with curl, awscli, rclone and botocore
	@$(MAKE) --no-print-directory build $(B)/s3/store $(B)/test/shared/blob_test
	@tests/s3/run $(B)
