// The SDK asks for Node 22; this is all that 20 lacks of what it uses. Imported before it.
Promise.withResolvers ??= function () {
  const it = {};
  it.promise = new this((resolve, reject) => Object.assign(it, { resolve, reject }));
  return it;
};
