/*
 * libffi_refuses - in the place of libffi.so.8, it is one that gets no memory for
 * code, as where a security policy forbids it.
 */
#include <ffi.h>
#include <stddef.h>

ffi_type ffi_type_void, ffi_type_sint32;

void *ffi_closure_alloc(size_t size, void **code)
{
	(void)size;
	(void)code;
	return NULL;
}

ffi_status ffi_prep_cif(ffi_cif *cif, ffi_abi abi, unsigned nargs,
			ffi_type *result, ffi_type **args)
{
	(void)cif;
	(void)abi;
	(void)nargs;
	(void)result;
	(void)args;
	return FFI_OK;
}

void ffi_call(ffi_cif *cif, void (*fn)(void), void *ret, void **args)
{
	(void)cif;
	(void)fn;
	(void)ret;
	(void)args;
}

ffi_status ffi_prep_closure_loc(ffi_closure *closure, ffi_cif *cif,
				void (*fn)(ffi_cif *, void *, void **, void *),
				void *arg, void *code)
{
	(void)closure;
	(void)cif;
	(void)fn;
	(void)arg;
	(void)code;
	return FFI_BAD_ABI;
}
