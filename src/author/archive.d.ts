declare module "*.archive" {
  /** Path of the file within the executable. */
  const path: string;
  export default path;
}
